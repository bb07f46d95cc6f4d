"""Published GLUE results and recipes as data, each with its source.

Results are shown next to a run's own scores, so each states what a comparison needs: a median of
many seeds, a single run and the best of 48 settings are different things. `metric` is None where
the source does not say (MRPC's accuracy and F1 are five points apart); a task with one official
metric is taken to be measured by it. One row of `_ROWS` is one model as one source reports it;
`published` finds single results.

A recipe is the settings with which a source trains each GLUE task. It is chosen by name
(`--recipe stable`), never by gluetune. Its values are settings of TrainConfig like any that are
typed; a flag wins over it. What a source does beyond them is listed in `omitted`, which is printed
whenever the recipe is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import GLUE_TASKS, TASKS, get_task
from gluetune.core.text import nearest

Split = Literal["dev", "test"]

AVERAGE = "glue"
"""Value of `Reference.task` for the leaderboard's macro average."""

UNSTATED = "unstated"
"""The protocol of a source that gives none."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One published number."""

    model: str
    checkpoints: tuple[str, ...]
    """Hub ids of the checkpoint that was fine-tuned; empty when it is not on the Hub."""
    task: str
    """A name in TASKS, `mnli-mm` for MNLI's mismatched set; or `glue`, the average."""
    metric: str | None
    """None when the source does not say."""
    value: float
    """In points: 0 to 100, as the sources write it."""
    split: Split
    protocol: str
    source: str
    subset: str = ""
    """`matched` for MNLI's matched set; empty when the source does not say, and elsewhere."""


def published(task: str | None = None, checkpoint: str | None = None) -> tuple[Reference, ...]:
    """Return the published results for `task` and of `checkpoint`; None means any.

    `task` is a task's name in any of the ways that `get_task` takes, or `glue` for averages.
    `checkpoint` is a Hub id in any case, with its organisation or without; one that nobody
    published results of gives an empty tuple.

    Raises ConfigurationError for a task that does not exist.
    """
    name = task if task is None or task == AVERAGE else get_task(task).name
    return tuple(
        reference
        for reference in REFERENCES
        if name in (None, reference.task) and (checkpoint is None or _is_of(reference, checkpoint))
    )


def human(task: str) -> tuple[Reference, ...]:
    """Return human performance on `task`. Raises ConfigurationError for one that does not exist."""
    return tuple(one for one in published(task) if one.model == HUMAN.model)


def _is_of(reference: Reference, checkpoint: str) -> bool:
    wanted = checkpoint.lower()
    return any(
        wanted in (known.lower(), known.lower().rpartition("/")[2])
        for known in reference.checkpoints
    )


_COLUMNS = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli", "mnli-mm")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A model's results in the order of `_COLUMNS`, which may end early; `-` is none."""

    model: str
    checkpoints: tuple[str, ...] = ()
    split: Split = "dev"
    protocol: str
    scores: str
    source: str
    metrics: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Of tasks with two official metrics, the one that the source reports."""
    protocols: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Where a task's differs from the row's."""
    matched: bool = False
    """Whether the source says that MNLI is the matched set."""

    def references(self) -> Iterator[Reference]:
        for task, score in zip(_COLUMNS, self.scores.split("/"), strict=False):
            if score != "-":
                yield Reference(
                    model=self.model,
                    checkpoints=self.checkpoints,
                    task=task,
                    metric=self._metric(task),
                    value=float(score),
                    split=self.split,
                    protocol=self.protocols.get(task, self.protocol),
                    source=self.source,
                    subset="matched" if task == "mnli" and self.matched else "",
                )

    def _metric(self, task: str) -> str | None:
        official = TASKS[task].metrics
        return official[0] if len(official) == 1 else self.metrics.get(task)


_BERT = "Devlin et al. 2019, arXiv 1810.04805, table 1"
_RUN_GLUE = "huggingface/transformers, examples/pytorch/text-classification/README.md"
_DISTILLATION = "huggingface/transformers, examples/research_projects/distillation/README.md"
_MINILM = "microsoft/unilm, minilm/README.md"
_ELECTRA = "google-research/electra, README.md"
_ROBERTA = "facebookresearch/fairseq, examples/roberta/README.md"
_DEBERTA = "microsoft/DeBERTa, README.md"
_MODERNBERT = "Warner et al. 2024, arXiv 2412.13663"
_BASELINES = "mwaskom/seaborn-data, glue.csv; Wang et al. 2019, arXiv 1804.07461"
_LEADERBOARD = "https://gluebenchmark.com/leaderboard"
_HUMAN = "Nangia and Bowman 2019, https://aclanthology.org/P19-1449"

_PEOPLE = "people, after a short training"
_ONE_RUN = "single seeded run, run_glue.py"
_MANY_SEEDS = "median of many seeds"
_SEARCHED = "single model, single task; settings from a search"
_BEST_OF_48 = "best of 48 configurations"
_FROM_MNLI = dict.fromkeys(("rte", "mrpc", "stsb"), f"{_BEST_OF_48}, from MNLI")

# BERT's table names its metrics in the caption; ELECTRA's and DeBERTa's in a header row.
_BERT_METRICS = {"mrpc": "f1", "qqp": "f1", "stsb": "spearman"}
_ELECTRA_METRICS = {"mrpc": "accuracy", "qqp": "accuracy", "stsb": "spearman"}
_DEBERTA_METRICS = {"mrpc": "accuracy", "qqp": "accuracy", "stsb": "pearson"}

_ROWS = (
    _Row(
        model="BERT-base",
        checkpoints=("google-bert/bert-base-uncased",),
        split="test",
        protocol="leaderboard; best of 4 learning rates on dev",
        scores="52.1/93.5/88.9/85.8/71.2/84.6/90.5/66.4",
        source=_BERT,
        metrics=_BERT_METRICS,
        matched=True,
    ),
    _Row(
        model="BERT-large",
        checkpoints=("google-bert/bert-large-uncased",),
        split="test",
        protocol="leaderboard; best of 4 learning rates and several restarts on dev",
        scores="60.5/94.9/89.3/86.5/72.1/86.7/92.7/70.1",
        source=_BERT,
        metrics=_BERT_METRICS,
        matched=True,
    ),
    _Row(
        model="BERT-base-cased",
        checkpoints=("google-bert/bert-base-cased",),
        protocol=_ONE_RUN,
        scores="56.53/92.32/84.07/88.64/90.71/83.91/90.66/65.70/56.34/84.10",
        source=_RUN_GLUE,
        metrics={"mrpc": "accuracy", "stsb": "pearson", "qqp": "accuracy"},
        matched=True,
    ),
    _Row(
        model="BERT-base-cased",
        checkpoints=("google-bert/bert-base-cased",),
        protocol=_ONE_RUN,
        scores="-/-/88.85/88.48/87.49",
        source=_RUN_GLUE,
        metrics={"mrpc": "f1", "stsb": "spearman", "qqp": "f1"},
    ),
    _Row(
        model="BERT-base-uncased",
        checkpoints=("google-bert/bert-base-uncased",),
        protocol=UNSTATED,
        scores="56.3/92.7/88.6/89.0/89.6/84.7/91.8/69.3/53.5",
        source=_DISTILLATION,
    ),
    _Row(
        model="DistilBERT-base-uncased",
        checkpoints=("distilbert/distilbert-base-uncased",),
        protocol=UNSTATED,
        scores="51.3/91.3/87.5/86.9/88.5/82.1/89.2/59.9/56.3",
        source=_DISTILLATION,
    ),
    _Row(
        model="DistilRoBERTa-base",
        checkpoints=("distilbert/distilroberta-base",),
        protocol=UNSTATED,
        scores="59.3/92.5/86.6/88.3/89.4/84.0/90.8/67.9/52.1",
        source=_DISTILLATION,
    ),
    _Row(
        # The Hub's nreimers/MiniLM-L6-H384-uncased is every second layer of the 12-layer model,
        # not this one.
        model="MiniLM-L6-H384 v1",
        protocol=UNSTATED,
        scores="47.5/91.5/88.9/-/90.6/83.3/90.5/68.8",
        source=_MINILM,
        matched=True,
    ),
    _Row(
        model="MiniLM-L12-H384 v1",
        checkpoints=("microsoft/MiniLM-L12-H384-uncased",),
        protocol=UNSTATED,
        scores="58.5/93.0/89.5/-/91.3/85.7/91.5/73.3",
        source=_MINILM,
        matched=True,
    ),
    _Row(
        model="ELECTRA-small",
        checkpoints=("google/electra-small-discriminator",),
        protocol=_MANY_SEEDS,
        scores="57.0/91.2/88.0/87.5/89.0/81.3/88.4/66.7",
        source=_ELECTRA,
        metrics=_ELECTRA_METRICS,
        matched=True,
    ),
    _Row(
        model="ELECTRA-base",
        checkpoints=("google/electra-base-discriminator",),
        protocol=_MANY_SEEDS,
        scores="67.7/95.1/89.5/91.2/91.5/88.8/93.2/82.7",
        source=_ELECTRA,
        metrics=_ELECTRA_METRICS,
        matched=True,
    ),
    _Row(
        model="ELECTRA-large",
        checkpoints=("google/electra-large-discriminator",),
        protocol=_MANY_SEEDS,
        scores="69.1/96.9/90.8/92.6/92.4/90.9/95.0/88.0",
        source=_ELECTRA,
        metrics=_ELECTRA_METRICS,
        matched=True,
    ),
    _Row(
        model="RoBERTa-base",
        checkpoints=("FacebookAI/roberta-base",),
        protocol=_SEARCHED,
        scores="63.6/94.8/90.2/91.2/91.9/87.6/92.8/78.7",
        source=_ROBERTA,
    ),
    _Row(
        model="RoBERTa-large",
        checkpoints=("FacebookAI/roberta-large",),
        protocol=_SEARCHED,
        scores="68.0/96.4/90.9/92.4/92.2/90.2/94.7/86.6",
        source=_ROBERTA,
    ),
    _Row(
        model="DeBERTa-v3-base",
        checkpoints=("microsoft/deberta-v3-base",),
        protocol="unstated; as quoted in ModernBERT's paper",
        scores="69.2/95.6/89.5/91.6/92.4/90.0/94.0/83.8",
        source=_MODERNBERT,
    ),
    _Row(
        model="DeBERTa-v3-large",
        checkpoints=("microsoft/deberta-v3-large",),
        protocol=UNSTATED,
        scores="75.3/96.9/92.2/93.0/93.0/91.8/96.0/92.7/-/91.9",
        source=_DEBERTA,
        metrics=_DEBERTA_METRICS,
        matched=True,
    ),
    _Row(
        model="ModernBERT-base",
        checkpoints=("answerdotai/ModernBERT-base",),
        protocol=_BEST_OF_48,
        scores="65.1/96.0/92.2/91.8/92.1/89.1/93.9/87.4",
        source=_MODERNBERT,
        protocols=_FROM_MNLI,
    ),
    _Row(
        model="ModernBERT-large",
        checkpoints=("answerdotai/ModernBERT-large",),
        protocol=_BEST_OF_48,
        scores="71.4/97.1/91.7/92.8/92.7/90.8/95.2/92.1",
        source=_MODERNBERT,
        protocols=_FROM_MNLI,
    ),
    _Row(
        model="BiLSTM",
        split="test",
        protocol="leaderboard; GLUE's own baseline",
        scores="11.6/82.8/81.8/70.3/62.5/65.6/74.6/57.4",
        source=_BASELINES,
        metrics={"mrpc": "f1", "stsb": "pearson", "qqp": "f1"},
        matched=True,
    ),
    _Row(
        model="Human",
        split="test",
        protocol=_PEOPLE,
        scores="66.4/97.8/86.3/92.7/59.5/92.0/91.2/93.6/95.9/92.8",
        source=_HUMAN,
        metrics={"mrpc": "f1", "stsb": "pearson", "qqp": "f1"},
        matched=True,
    ),
    _Row(
        model="Human",
        split="test",
        protocol=_PEOPLE,
        scores="-/-/80.8/92.6/80.4",
        source=_HUMAN,
        metrics={"mrpc": "accuracy", "stsb": "spearman", "qqp": "accuracy"},
    ),
)


def _average(model: str, value: float, protocol: str, source: str) -> Reference:
    return Reference(
        model=model,
        checkpoints=(),
        task=AVERAGE,
        metric=AVERAGE,
        value=value,
        split="test",
        protocol=protocol,
        source=source,
    )


HUMAN = _average("Human", 87.1, _PEOPLE, _HUMAN)
"""Human performance on GLUE."""

LEADERBOARD_TOP: tuple[Reference, ...] = tuple(
    _average(model, value, "leaderboard; undated copy", _LEADERBOARD)
    for model, value in (
        ("Turing ULR v6", 91.3),
        ("Vega v1", 91.3),
        ("Turing NLR v5", 91.2),
        ("DeBERTa + CLEVER", 91.1),
        ("ERNIE", 91.1),
    )
)
"""The first five of the leaderboard, best first."""

REFERENCES: tuple[Reference, ...] = (
    *(reference for row in _ROWS for reference in row.references()),
    HUMAN,
    *LEADERBOARD_TOP,
)
"""Everything, in the order of the table."""


_SMALL = 10_000
"""A task with fewer training examples in GLUE is a small one."""

SMALL_TASKS = tuple(name for name, task in GLUE_TASKS.items() if task.rows["train"] < _SMALL)
"""CoLA, MRPC, STS-B, RTE, WNLI: also where only a part of them is trained on."""


def _settings(**settings: Any) -> Mapping[str, Any]:
    return MappingProxyType(settings)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings by task, and where they come from."""

    name: str
    about: str
    source: str
    common: Mapping[str, Any]
    by_task: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    """Settings of a task that replace the common ones, or add to them."""
    tasks: tuple[str, ...] = tuple(GLUE_TASKS)
    """The tasks that the source has settings for."""
    for_own_text: bool = False
    """Whether it is for any task, also the user's own."""
    omitted: tuple[str, ...] = ()
    """What the source does and these settings cannot express."""

    def settings(self, task: str) -> dict[str, Any]:
        """Return the settings of `task`. Raises ConfigurationError where the source has none."""
        if self.for_own_text:
            return dict(self.common)
        name = get_task(task).name
        known = get_task(name).hub_config  # mnli-mm is trained as mnli is
        if known not in self.tasks:
            raise ConfigurationError(
                f"--recipe {self.name} has no settings for {name}: {self.source} gives none.",
                hint=f"Its tasks: {','.join(self.tasks)}. Recipes for all: "
                f"{', '.join(_for_all_tasks())}.",
            )
        return {**self.common, **self.by_task.get(known, {})}


def recipe_fields(name: str) -> set[str]:
    """Return the settings that the recipe called `name` has for any task."""
    recipe = get_recipe(name)
    return {*recipe.common, *(field for each in recipe.by_task.values() for field in each)}


def get_recipe(name: str) -> Recipe:
    """Return the recipe called `name`. Raises ConfigurationError with the nearest name."""
    found = RECIPES.get(name.strip().lower())
    if found is not None:
        return found
    raise ConfigurationError(
        f"--recipe {name}: unknown recipe.",
        hint=f"{nearest(name, RECIPES)}Recipes: {', '.join(RECIPES)}.",
    )


def _for_all_tasks() -> list[str]:
    return [name for name, recipe in RECIPES.items() if set(recipe.tasks) == set(GLUE_TASKS)]


def _each(tasks: tuple[str, ...], **settings: Any) -> dict[str, Mapping[str, Any]]:
    return dict.fromkeys(tasks, _settings(**settings))


_HEAD_RATE = "Its top layer has one more step of the layer-wise decay below its head than here."
_BOTH_ORDERS = "It trains MRPC and STS-B on both orders of each pair; here on the order given."
_WNLI_APART = "It trains WNLI in another way; here WNLI has the small tasks' settings."
_MODERNBERT_TASKS = tuple(name for name in GLUE_TASKS if name != "wnli")


def _electra(name: str, size: str, learning_rate: float, decay: float) -> Recipe:
    return Recipe(
        name=name,
        about=f"ELECTRA {size}'s",
        source="google-research/electra, configure_finetuning.py",
        common=_settings(
            learning_rate=learning_rate,
            batch_size=32,
            epochs=3.0,
            warmup=0.1,
            weight_decay=0.01,
            layer_decay=decay,
            max_length=128,
        ),
        by_task=_each(("rte", "stsb"), epochs=10.0),
        omitted=(_HEAD_RATE, _BOTH_ORDERS),
    )


def _deberta(size: str, learning_rate: float, epochs: float) -> Recipe:
    return Recipe(
        name=f"deberta-v3-{size}",
        about=f"DeBERTa-v3-{size}'s, of MNLI alone",
        source="microsoft/DeBERTa, experiments/glue",
        common=_settings(learning_rate=learning_rate, batch_size=64, epochs=epochs),
        tasks=("mnli",),
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name="notebook",
                about="the default: the notebook's, for every task alike",
                source='Hugging Face\'s "Text classification on GLUE" notebook',
                common=_settings(
                    learning_rate=2e-5, batch_size=16, epochs=5.0, weight_decay=0.01, warmup=0.0
                ),
            ),
            Recipe(
                name="run_glue",
                about="what transformers' README of run_glue.py reports results of",
                source="huggingface/transformers, examples/pytorch/text-classification/README.md",
                common=_settings(
                    learning_rate=2e-5,
                    batch_size=32,
                    epochs=3.0,
                    weight_decay=0.0,
                    warmup=0.0,
                    max_length=128,
                ),
                by_task=_each(("mrpc", "wnli"), epochs=5.0),
            ),
            Recipe(
                name="stable",
                about="warmup for all, and 20 epochs on small tasks: fewer seeds collapse",
                source="Mosbach et al. 2021, arXiv 2006.04884; Zhang et al. 2021, arXiv 2006.05987",
                common=_settings(
                    learning_rate=2e-5, batch_size=16, epochs=5.0, weight_decay=0.01, warmup=0.1
                ),
                by_task=_each(SMALL_TASKS, epochs=20.0),
            ),
            _electra("electra", "small and base", 1e-4, 0.8),
            _electra("electra-large", "large", 5e-5, 0.9),
            Recipe(
                name="roberta",
                about="RoBERTa-large's",
                source="facebookresearch/fairseq, examples/roberta/README.glue.md",
                common=_settings(
                    learning_rate=1e-5,
                    batch_size=32,
                    epochs=10.0,
                    warmup=0.06,
                    weight_decay=0.1,
                    training_args={"adam_beta2": 0.98, "adam_epsilon": 1e-6, "max_grad_norm": 0.0},
                ),
                by_task={
                    **_each(SMALL_TASKS, batch_size=16),
                    **_each(("rte", "stsb"), batch_size=16, learning_rate=2e-5),
                },
                omitted=(_WNLI_APART,),
            ),
            _deberta("small", 4.5e-5, 2.0),
            _deberta("base", 1.5e-5, 3.0),
            _deberta("large", 7e-6, 2.0),
            Recipe(
                name="modernbert",
                about="ModernBERT-base's, the best of 48 settings of each task",
                source="Warner et al. 2024, arXiv 2412.13663; batch size: AnswerDotAI/ModernBERT "
                "issue 196",
                common=_settings(batch_size=64),
                by_task={
                    name: _settings(learning_rate=learning_rate, epochs=epochs)
                    for name, learning_rate, epochs in (
                        ("cola", 8e-5, 5.0),
                        ("mnli", 5e-5, 1.0),
                        ("mrpc", 5e-5, 10.0),
                        ("qnli", 8e-5, 2.0),
                        ("qqp", 5e-5, 10.0),
                        ("rte", 5e-5, 3.0),
                        ("sst2", 8e-5, 2.0),
                        ("stsb", 8e-5, 10.0),
                    )
                },
                tasks=_MODERNBERT_TASKS,
                omitted=(
                    "It starts RTE, MRPC and STS-B from MNLI's model: --mnli-init does so in a "
                    "suite.",
                    "Its weight decay and warmup are not given here: they stay as they are typed, "
                    "or the default.",
                ),
            ),
            Recipe(
                name="auto",
                about="chosen by the size of the model, the rows and the classes; also for your "
                "own text",
                source="measured with benchmarks/methods.py; each setting's reason follows",
                common=_settings(auto_settings=True),
                for_own_text=True,
            ),
        )
    }
)
"""Every recipe, by name."""
