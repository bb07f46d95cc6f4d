"""What people ask: topics, the intents within each, and ways to word every intent, as data.

Two wordings of one intent are duplicates; two intents of one topic share their words but not
their meaning. Slots are filled by `events`.
"""

from __future__ import annotations

Intent = tuple[str, ...]
Topic = tuple[Intent, ...]

TOPICS: tuple[Topic, ...] = (
    (
        (
            "What is the best way to learn {language}?",
            "How can I learn {language} well?",
            "Which is the most effective method of learning {language}?",
        ),
        (
            "How long does it take to learn {language}?",
            "How many months do you need to learn {language}?",
            "In what time can a beginner learn {language}?",
        ),
        (
            "Why should I learn {language}?",
            "What are the benefits of learning {language}?",
            "Is there any point in learning {language}?",
        ),
    ),
    (
        (
            "How do I cook {dish} at home?",
            "What is a good recipe for {dish}?",
            "How is {dish} made at home?",
        ),
        (
            "How many calories are there in {dish}?",
            "Is {dish} fattening?",
            "What is the calorie content of {dish}?",
        ),
        (
            "How long can I keep {dish} in the fridge?",
            "After how many days does {dish} go off?",
            "For how long does {dish} stay fresh?",
        ),
    ),
    (
        (
            "How do I fix a broken {device}?",
            "What should I do to repair my {device}?",
            "My {device} does not work any more, how can I mend it?",
        ),
        (
            "Which {device} should I buy this year?",
            "What is the best {device} on the market at the moment?",
            "Can anyone recommend a good {device}?",
        ),
        (
            "How does a {device} work?",
            "What happens inside a {device}?",
            "Can you explain the working principle of a {device}?",
        ),
        (
            "Where can I sell my old {device}?",
            "What is a good place to sell a used {device}?",
        ),
    ),
    (
        (
            "What is the cheapest way to travel from {city1} to {city2}?",
            "How can I get from {city1} to {city2} for little money?",
            "How do I go to {city2} from {city1} on a small budget?",
        ),
        (
            "How far is {city2} from {city1}?",
            "What is the distance between {city1} and {city2}?",
            "How many kilometres lie between {city1} and {city2}?",
        ),
        (
            "Is it better to live in {city1} or in {city2}?",
            "Which is the nicer place to live, {city1} or {city2}?",
            "Should I settle in {city2} or in {city1}?",
        ),
        (
            "How do I move from {city1} to {city2}?",
            "What do I need to consider when I move to {city2} from {city1}?",
        ),
    ),
    (
        (
            "How should I prepare for an exam in {subject}?",
            "What is the best preparation for a {subject} exam?",
            "How do I study for a test in {subject}?",
        ),
        (
            "What jobs can I get with a degree in {subject}?",
            "Which careers are open to graduates in {subject}?",
            "What can I work as after studying {subject}?",
        ),
        (
            "Which university is best for {subject} in {country}?",
            "Where in {country} should I study {subject}?",
        ),
        (
            "Why is {subject} so difficult?",
            "What makes {subject} hard to understand?",
        ),
    ),
    (
        (
            "How much does it cost to keep a {pet}?",
            "What are the monthly expenses for a {pet}?",
            "Is it expensive to own a {pet}?",
        ),
        (
            "How do I train my {pet}?",
            "What is the right way of training a {pet}?",
            "Can you give me tips for training a {pet}?",
        ),
        (
            "What should I feed a {pet}?",
            "Which food is good for a {pet}?",
            "What does a {pet} eat?",
        ),
        (
            "Why does my {pet} not eat?",
            "My {pet} refuses its food, what is the reason?",
        ),
    ),
    (
        (
            "Do I need a visa to visit {country}?",
            "Is a visa required for a trip to {country}?",
            "Can I travel to {country} without a visa?",
        ),
        (
            "What is the best time of the year to visit {country}?",
            "In which season should I travel to {country}?",
            "When should I go to {country}?",
        ),
        (
            "How can I find a job in {work} in {country}?",
            "What is the way to get work in {work} in {country}?",
        ),
        (
            "Is {country} a safe place for tourists?",
            "How dangerous is {country} for visitors?",
        ),
    ),
    (
        (
            "How do I start with {hobby} as an adult?",
            "What does a grown-up beginner need to know about {hobby}?",
            "How can an adult take up {hobby}?",
        ),
        (
            "What equipment do I need for {hobby}?",
            "Which things must I buy before I take up {hobby}?",
        ),
        (
            "Is {hobby} good for your health?",
            "What does {hobby} do for the body and the mind?",
        ),
        (
            "Who is the greatest name in {hobby} of all time?",
            "Which person was the best ever at {hobby}?",
        ),
    ),
    (
        (
            "How do I get a job in {work} without experience?",
            "Can a beginner find work in {work}?",
            "What is the way into {work} for somebody with no experience?",
        ),
        (
            "How much do people earn in {work}?",
            "What is the average salary in {work}?",
            "What are the wages like in {work}?",
        ),
        (
            "Should I leave my job in {work}?",
            "Is it a good idea to quit working in {work}?",
        ),
        (
            "What is the future of {work}?",
            "How will {work} change over the next ten years?",
        ),
    ),
    (
        (
            "What happened to {company1} after the merger with {company2}?",
            "How did {company1} fare once it had merged with {company2}?",
        ),
        (
            "Is {company1} a better employer than {company2}?",
            "Would you rather work for {company1} than for {company2}?",
        ),
        (
            "How do I get an internship at {company1} in {city}?",
            "What does it take to become an intern at {company1} in {city}?",
        ),
        (
            "Why did {company1} sell its office in {city}?",
            "What made {company1} part with its {city} office?",
        ),
    ),
)
"""Topics; the wordings of an intent use the same slots."""
