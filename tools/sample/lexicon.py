"""The words that the sample's sentences are made of.

Lists only, no rules: how a word is inflected is `grammar`'s affair. A name in capitals is a tuple;
its order is part of the data set (a seed draws by position), so new words go to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, _, right in (pair.partition("/") for pair in text.split()))


WOMEN = _words(
    "Alice Amira Anna Beatrice Carla Chloe Diana Elena Emma Fatima Grace Hannah Helen Ingrid Irene "
    "Jane Julia Karen Laura Leila Linda Lucy Maria Martha Mei Nadia Nina Olga Paula Priya Rosa "
    "Ruth Sarah Sofia Tanya Vera Wendy Yasmin Yuki Zoe"
)
MEN = _words(
    "Adam Ahmed Anton Ben Boris Carlos Daniel David Erik Felix Frank George Hassan Henry Hugo Ivan "
    "Jack James Jonas Karl Kenji Leo Lucas Marco Martin Miguel Nathan Oliver Omar Oscar Paul Peter "
    "Rahul Robert Samuel Stefan Thomas Victor Walter Yusuf"
)
NAMES = (*WOMEN, *MEN)
SURNAMES = _words(
    "Abbott Adeyemi Alvarez Barker Bennett Bergman Calloway Carver Castell Chandra Dalton Delgado "
    "Dumont Ekström Ellery Farrow Fenwick Garland Greco Haddad Hartley Holloway Ibarra Jansen "
    "Kapoor Keller Kimura Langley Larkin Lindqvist Mabry Marchetti Mercer Moreau Nakata Novak "
    "Okafor Orlov Pemberton Petrov Quigley Ramsey Reyes Rowan Sandoval Sinclair Sorensen Tanaka "
    "Thorne Underhill Vance Voss Weller Whitlock Yardley Zeller"
)
CITIES = _words(
    "Aberdeen Ankara Athens Bergen Bogotá Bologna Bristol Brisbane Calgary Cardiff Chicago Cork "
    "Dakar Denver Dresden Dublin Durban Geneva Glasgow Hamburg Hanoi Helsinki Houston Jakarta "
    "Kyoto Leeds Leipzig Lima Lisbon Lyon Madrid Malmö Manila Milan Montreal Nairobi Naples Osaka "
    "Oslo Perth Phoenix Porto Prague Quito Riga Seattle Seoul Tampa Toronto Tunis Turin Valencia "
    "Vienna Warsaw Wellington Zagreb Zürich"
)
COUNTRIES = _words(
    "Argentina Austria Belgium Bolivia Brazil Canada Chile Colombia Croatia Denmark Egypt Estonia "
    "Finland France Germany Ghana Greece Hungary Iceland India Ireland Italy Japan Kenya Latvia "
    "Malaysia Mexico Morocco Nepal Norway Peru Poland Portugal Romania Senegal Spain Sweden "
    "Thailand Tunisia Turkey Uruguay Vietnam"
)
COMPANIES = _words(
    "Alderstone Ambervale Arcadia_Foods Ashgrove Bluepeak Brightwater Calder_Motors Cedarline "
    "Copperfield_Bank Corvane Deltaform Eastmoor Elmtree_Media Fairhaven Ferrant Fenland_Energy "
    "Glenrock Granite_Air Halden Harrow_Chemicals Helixa Ironbridge Juniper_Systems Kestrel_Oil "
    "Kingsley_Steel Lakeshore_Rail Lumera Marlowe_Books Meridian_Paper Norvik Northgate Oakwell "
    "Orbis_Textiles Pinecrest Quillon Ravenport Redfern Sablewood Silverline Solway_Foods "
    "Stonefield Tarnhill Telmar Umbria_Glass Valemont Vantor Westbrook Wexford_Mills Yarrow "
    "Zephyr_Shipping"
)
MONTHS = _words(
    "January February March April May June July August September October November December"
)
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
LANGUAGES = _words(
    "Arabic Bengali Czech Danish Dutch Finnish French German Greek Hebrew Hindi Hungarian Italian "
    "Japanese Korean Latin Norwegian Polish Portuguese Russian Spanish Swahili Swedish Turkish "
    "Vietnamese Welsh"
)
SUBJECTS = _words(
    "accounting algebra anatomy architecture astronomy biology botany calculus chemistry economics "
    "engineering geography geology geometry grammar history law linguistics logic medicine nursing "
    "philosophy physics psychology sociology statistics"
)
HOBBIES = _words(
    "archery baking ballet boxing calligraphy carpentry chess climbing cycling drawing fencing "
    "fishing gardening judo juggling kayaking knitting origami painting photography pottery rowing "
    "sailing sewing singing skating skiing surfing swimming tennis weaving yoga"
)
DISHES = _words(
    "apple_pie beef_stew bread brownies cheesecake chicken_curry chilli couscous dumplings falafel "
    "fried_rice gnocchi goulash granola hummus lasagne lentil_soup meatballs mushroom_risotto "
    "onion_soup paella pancakes pesto pizza pumpkin_soup ramen ratatouille roast_lamb salsa "
    "scrambled_eggs shortbread tofu tomato_sauce vegetable_broth"
)
DEVICES = _words(
    "camera dishwasher drone fridge keyboard kettle lamp laptop microphone microwave monitor mouse "
    "oven phone printer projector radio router scanner smartwatch speaker tablet television "
    "thermostat toaster washing_machine"
)
PETS = _words(
    "budgie canary cat chinchilla cockatoo dog ferret gecko gerbil goldfish guinea_pig hamster "
    "hedgehog horse iguana kitten parrot pony puppy rabbit snake tortoise"
)
SPORTS_CLUBS = _words(
    "Albion Athletic Borough Corinthians County Crusaders Dynamo Falcons Harriers Hornets Lancers "
    "Mariners Olympic Pioneers Rangers Ravens Rovers Saints Sharks Spartans Titans United Victoria "
    "Wanderers Warriors Wolves"
)
FIELDS_OF_WORK = _words(
    "banking education farming fashion finance fishing forestry healthcare housing insurance "
    "journalism manufacturing mining publishing shipping textiles tourism transport"
)

PEOPLE = _words(
    "actor architect artist author baker banker barber botanist builder butcher carpenter cashier "
    "chef chemist cleaner clerk coach dancer dentist designer detective doctor driver editor "
    "electrician engineer farmer firefighter florist gardener guard guide hunter jeweller "
    "journalist judge lawyer lecturer librarian manager mayor mechanic merchant miner musician "
    "neighbour nurse officer painter pharmacist photographer pilot plumber poet porter professor "
    "reporter sailor scientist sculptor secretary senator shepherd singer student surgeon tailor "
    "teacher tourist translator visitor waiter writer"
)
THINGS = _words(
    "basket bell bicycle blanket book bottle bowl box brush bucket candle carpet chair clock coat "
    "coin cup curtain desk diary drum envelope fence flag flute gate glove guitar hammer hat "
    "helmet jacket jar kettle key knife ladder lamp letter magazine map medal mirror necklace "
    "needle newspaper notebook painting parcel pencil photograph piano picture pillow plate poster "
    "purse report ring rope sculpture shelf shirt shovel song spoon statue suitcase sword table "
    "tent ticket towel toy tray trumpet umbrella vase violin wallet watch"
)
BUILDINGS = _words(
    "airport bakery bank barn café castle cathedral chapel cinema clinic college cottage "
    "factory gallery garage garden harbour hospital hotel kitchen laboratory library market "
    "museum office orchard palace park prison restaurant school shop stable stadium station studio "
    "theatre tower warehouse workshop"
)
EVERYDAY_ADJECTIVES = _words(
    "ancient black blue broken brown clean cheap dark dirty elegant empty expensive famous fragile "
    "golden green grey heavy huge large light little modern narrow new old orange plain pretty "
    "purple red rusty shiny short silver simple small square strange tall thick tiny white wide "
    "wooden yellow"
)
MANNERS = _words(
    "calmly carefully cheerfully eagerly gently happily hastily loudly nervously patiently "
    "politely proudly quickly quietly reluctantly secretly silently slowly suddenly warmly"
)
TIMES = _words(
    "last_night last_week last_month yesterday this_morning on_Monday on_Tuesday on_Friday "
    "on_Sunday in_the_afternoon in_the_evening after_lunch before_dawn at_noon during_the_holidays "
    "two_days_ago a_week_ago in_the_spring in_the_winter after_the_storm"
)
TRANSITIVE_VERBS = _words(
    "admire borrow buy clean copy describe draw examine find hide inspect lose mention move notice "
    "paint photograph polish praise remove repair see sell sketch steal take touch want wrap"
)
INTRANSITIVE_VERBS = _words(
    "arrive bark blush cough cry disappear fall giggle kneel laugh pause shiver sigh sleep smile "
    "sneeze snore stumble swim tremble vanish wait yawn"
)

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bird": _words("canary crow eagle falcon goose heron owl parrot pigeon robin sparrow swan"),
        "dog": _words("beagle bulldog collie dachshund greyhound poodle spaniel terrier"),
        "fruit": _words("apple apricot banana cherry fig lemon mango melon orange peach pear plum"),
        "vegetable": _words("artichoke cabbage carrot cucumber leek onion potato pumpkin turnip"),
        "flower": _words("carnation daffodil daisy lily orchid poppy rose sunflower tulip violet"),
        "vehicle": _words("ambulance bus lorry motorcycle taxi tractor tram truck van"),
        "instrument": _words(
            "banjo cello clarinet flute guitar harp piano trombone trumpet violin"
        ),
        "tool": _words("axe chisel drill hammer rake saw screwdriver shovel spanner"),
        "garment": _words("cardigan cloak coat dress jacket scarf shirt skirt sweater waistcoat"),
        "piece of furniture": _words("armchair bookcase cupboard desk sofa stool table wardrobe"),
        "toy": _words("doll kite puppet puzzle rattle teddy_bear yo-yo"),
    }
)
"""Kind of everyday thing to its members."""

SEA_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fish": _words("cod eel haddock halibut herring mackerel salmon sardine trout tuna"),
        "boat": _words("canoe dinghy ferry kayak raft schooner trawler tugboat yacht"),
        "shellfish": _words("clam crab lobster mussel oyster prawn scallop"),
        "seabird": _words("albatross cormorant gannet gull pelican puffin tern"),
    }
)
"""As KINDS, for the seafaring genre of the mismatched MNLI splits."""

LABORATORY_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "insect": _words("ant bee beetle butterfly cricket dragonfly hornet mosquito moth wasp"),
        "reptile": _words(
            "alligator chameleon crocodile gecko iguana lizard python tortoise viper"
        ),
        "gemstone": _words("amethyst diamond emerald garnet opal ruby sapphire topaz"),
        "tree": _words("ash beech birch cedar chestnut elm maple oak pine willow"),
    }
)
"""As KINDS, for the natural-history genre of the mismatched MNLI splits."""


@dataclass(frozen=True)
class Genre:
    """The vocabulary of a topic: who acts, where, and on what kinds of thing."""

    people: tuple[str, ...]
    places: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]


TOWN = Genre(
    people=PEOPLE,
    places=tuple(f"near the {building}" for building in BUILDINGS),
    kinds=KINDS,
)
SEA = Genre(
    people=_words(
        "admiral boatswain cabin_boy captain coastguard cook deckhand diver fisherman helmsman "
        "islander lifeguard lighthouse_keeper navigator oarsman passenger pirate smuggler stoker"
    ),
    places=_words(
        "off_the_coast on_the_deck beside_the_pier in_the_bay near_the_reef at_the_shipyard "
        "by_the_lighthouse below_the_cliffs along_the_quay near_the_sandbank"
    ),
    kinds=SEA_KINDS,
)
LABORATORY = Genre(
    people=_words(
        "archaeologist biochemist conservator curator ecologist entomologist explorer geologist "
        "laboratory_assistant naturalist park_ranger postgraduate researcher surveyor taxonomist "
        "technician veterinarian volunteer zoologist"
    ),
    places=_words(
        "at_the_field_station in_the_greenhouse on_the_plateau in_the_rainforest at_the_reserve "
        "beside_the_glacier in_the_desert near_the_volcano in_the_archive at_the_observatory"
    ),
    kinds=LABORATORY_KINDS,
)

ANTONYMS = _pairs(
    "tall/short old/young strong/weak fast/slow rich/poor quiet/loud clean/dirty heavy/light "
    "warm/cold bright/dark cheap/expensive wide/narrow thick/thin long/short deep/shallow "
    "large/small soft/hard early/late"
)
"""Gradable adjectives that compare with -er, each with its opposite."""

CAPITALS = _pairs(
    "Ankara/Turkey Athens/Greece Bogotá/Colombia Dakar/Senegal Dublin/Ireland Hanoi/Vietnam "
    "Helsinki/Finland Lima/Peru Lisbon/Portugal Madrid/Spain Nairobi/Kenya Oslo/Norway "
    "Riga/Latvia Tunis/Tunisia Vienna/Austria Warsaw/Poland Zagreb/Croatia"
)
"""Capitals, each with its country."""
