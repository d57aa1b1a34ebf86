"""Names for modules, classes and functions that exist nowhere; the train and the test pool share no package."""

from __future__ import annotations

from random import Random

PLAIN = tuple(
    "ok hello alpha beta gamma delta none demo sample value probe ready done start check one two three red green blue "
    "north south status mark item token label batch epoch layer weight bias score train valid".split()
)
_STEMS = {
    "train": "acme nova vega lumen orbit pixel cobalt quartz maple harbor falcon ember delta_core zenith argon basalt "
    "copper dorado estuary fjord garnet helix indigo juniper kestrel lattice".split(),
    "test": "sable tundra umber vortex willow xenon yarrow zephyr aspen birch cedar dune everest flint glacier "
    "hazel iris jasper krypton lotus".split(),
}
_ENDINGS = "lab ai ml tools kit pkg core works soft data_io hub net sys base utils_py stack flow forge".split()
_PARTS = {
    "train": "loader runtime core io plugin bridge engine worker hooks tasks model api util ops registry shell proc "
    "exec_ remote backend helpers common compat services".split(),
    "test": "driver launch kernel agent bootstrap pipeline hostcmd client adapters node gateway starter scripts "
    "handlers session actions machine tooling".split(),
}
_VERBS = {
    "train": "run load apply call make build start do handle process resolve evaluate fetch open init restore".split(),
    "test": "launch perform invoke trigger dispatch bootstrap prepare execute perform_once pull install attach".split(),
}
_NOUNS = "cmd task hook script job step plugin target expr payload source thing object model config item text".split()
_CLASSES = (
    "Net Model Config Encoder Decoder Vocab Tokenizer Trainer Dataset Layer Scaler Pipeline Thing State Record Feature "
    "Params Metrics Estimator Policy Agent Graph Node Index Table Settings Extractor Head Backbone Wrapper".split()
)
PROJECTS = {
    "train": "myproj project src models model utils app network train nets lib common config data features ner core "
    "experiment engine".split(),
    "test": "code_base predictor classifier main_app pipeline_def recommender service tasks research notebook agents "
    "scoring preprocessing".split(),
}
_FILES = {
    "train": "models things net layers vocab config dataset utils encoder transforms trainer base types".split(),
    "test": "entities modules structures schema agents tokenizers preprocess objects ensemble helpers".split(),
}


def vendor(rng: Random, pool: str) -> str:
    """A top-level package that no registry has."""
    return f"{rng.choice(_STEMS[pool])}_{rng.choice(_ENDINGS)}"


def module(rng: Random, pool: str) -> str:
    """A vendor's module of one to three parts; sometimes a project's own module or ``__main__``."""
    draw = rng.random()
    if draw < 0.1:
        return "__main__"
    if draw < 0.35:
        return project_module(rng, pool)
    return ".".join([vendor(rng, pool), *rng.sample(_PARTS[pool], rng.randrange(0, 3))])


def project_module(rng: Random, pool: str) -> str:
    """A module such as a user's own project has: ``myproj.models``, ``utils``, ``__main__``."""
    if rng.random() < 0.25:
        return "__main__"
    parts = [rng.choice(PROJECTS[pool]), rng.choice(_FILES[pool])]
    return ".".join(parts[: rng.choice((1, 2, 2))])


def class_name(rng: Random, pool: str) -> str:
    """A class name in CapWords, different in the two pools by its prefix."""
    prefix = rng.choice(
        ["", "", "My", "Base", "Simple", "Custom"] if pool == "train" else ["", "Our", "Deep", "Fast", "Tiny"]
    )
    return prefix + rng.choice(_CLASSES)


def function(rng: Random, pool: str) -> str:
    """A function name: ``run_cmd``, ``_load_target``, ``evaluate``."""
    verb = rng.choice(_VERBS[pool])
    name = verb if rng.random() < 0.3 else f"{verb}_{rng.choice(_NOUNS)}"
    return f"_{name}" if rng.random() < 0.15 else name
