"""The files that are looked at together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pandas as pd

from safepickle.bytecode.trace import FileTrace

from ..assemble.hostile import IN_HOST
from ..dataset import FEEDBACK_ORIGIN, GENERATED_ORIGIN, LIBRARY_ORIGIN
from ..split import HELD_OUT
from .judging import Flags

PUBLIC = "public"
HARD_NEGATIVE = "benign-but-unusual"
TINY = 40
SMALL, LARGE = 1_000, 10_000


@dataclass(frozen=True)
class EvaluationSet:
    """Files that are looked at together; all of them are either benign or malicious.

    Parameters
    ----------
    name, title
        Short name, and what is in it.
    malicious, benign
        bool[n] over the rows of the frame.
    against
        bool[n]: benign files that the malicious ones are ranked against; those of the set, or where it has none
        every one that was scored out of fold, generated ones among them: against real files alone, whoever tells
        generated files from real ones would look like a detector.
    """

    name: str
    title: str
    malicious: Flags
    benign: Flags
    against: Flags

    @property
    def rows(self) -> Flags:
        """All files of the set."""
        return self.malicious | self.benign

    @property
    def borrowed(self) -> bool:
        """Whether `against` comes from outside the set."""
        return bool(self.against.any()) and not self.benign.any()


def with_facts(frame: pd.DataFrame, files: Iterable[FileTrace]) -> pd.DataFrame:
    """The frame with what only Traces know: `complete`, and `opcodes` (executed, all streams together)."""
    facts = [(file.complete, sum(sum(trace.opcodes.values()) for trace in file.walk())) for file in files]
    return frame.assign(
        complete=np.array([complete for complete, _ in facts], dtype=bool),
        opcodes=np.array([opcodes for _, opcodes in facts], dtype=np.int64),
    )


def is_real(frame: pd.DataFrame) -> Flags:
    """Files that somebody published: neither made by this pipeline nor labelled by an analyst."""
    return ~frame["origin"].isin((GENERATED_ORIGIN, LIBRARY_ORIGIN, FEEDBACK_ORIGIN)).to_numpy(bool)


def is_spliced(frame: pd.DataFrame) -> Flags:
    """Generated files whose code sits in, before or behind a benign host (``reach/form/place/container``)."""
    generated = (frame["origin"] == GENERATED_ORIGIN) & (frame["label"] == "malicious")
    place = [technique.split("/")[2:3] for technique in frame["technique"]]
    return np.array([bool(found) and found[0] in IN_HOST for found in place], dtype=bool) & generated.to_numpy(bool)


def evaluation_sets(frame: pd.DataFrame, effects: list[str]) -> list[EvaluationSet]:
    """Every set that has a file.

    Parameters
    ----------
    frame
        Rows with the columns of the dataset, `fold`, and those of :func:`with_facts`.
    effects
        Effects of malicious files that detectors learn from; others belong to no set, see :func:`not_learned`.
    """
    benign = (frame["label"] == "benign").to_numpy(bool)
    malicious = ((frame["label"] == "malicious") & frame["effect"].isin(effects)).to_numpy(bool)
    made = (frame["origin"] == GENERATED_ORIGIN).to_numpy(bool)
    test = (frame["pool"] == "test").to_numpy(bool) & (frame["fold"] == HELD_OUT).to_numpy(bool)
    real, public, spliced = is_real(frame), (frame["origin"] == PUBLIC).to_numpy(bool), is_spliced(frame)
    joblib = frame["container"].str.contains("joblib").to_numpy(bool)
    boxed = (frame["container"] != "pickle").to_numpy(bool)
    opcodes = frame["opcodes"].to_numpy()
    learned_from = (frame["fold"] != HELD_OUT).to_numpy(bool)
    hidden = malicious & made & spliced
    rows = [
        (
            PUBLIC,
            "public benign files against real malicious ones that run something",
            malicious & real,
            benign & public,
        ),
        (
            "hard-negatives",
            "public benign files with unusual callables",
            None,
            benign & public & _contains(frame, HARD_NEGATIVE),
        ),
        ("controls", "benign files of other scanners' test suites", None, benign & real & ~public),
        ("joblib", "real files written by joblib", malicious & real & joblib, benign & real & joblib),
        ("containers", "real files other than a plain pickle", malicious & real & boxed, benign & real & boxed),
        ("generated", "generated files, out of fold", malicious & made & learned_from, benign & made & learned_from),
        (
            "libraries",
            "files that libraries saved, in many versions, judged by models that saw no file of the library",
            None,
            benign & (frame["origin"] == LIBRARY_ORIGIN).to_numpy(bool),
        ),
        ("unseen-callables", "generated files whose callables no training file uses", malicious & test, benign & test),
        ("bare", "generated malicious files without a host", malicious & made & ~spliced, None),
        ("padded-under-1k", "code spliced in a host, under 1,000 opcodes in all", hidden & (opcodes < SMALL), None),
        (
            "padded-1k-10k",
            "code spliced in a host, 1,000 to 10,000 opcodes",
            hidden & (opcodes >= SMALL) & (opcodes <= LARGE),
            None,
        ),
        ("padded-over-10k", "code spliced in a host, over 10,000 opcodes", hidden & (opcodes > LARGE), None),
        ("tiny-benign", f"benign files of fewer than {TINY} opcodes", None, benign & (opcodes < TINY)),
        (
            FEEDBACK_ORIGIN,
            "files that analysts labelled",
            malicious & (frame["origin"] == FEEDBACK_ORIGIN).to_numpy(bool),
            benign & (frame["origin"] == FEEDBACK_ORIGIN).to_numpy(bool),
        ),
    ]
    none = np.zeros(len(frame), dtype=bool)
    found = []
    for name, title, bad, good in rows:
        bad, good = none if bad is None else bad, none if good is None else good
        if bad.any() or good.any():
            found.append(EvaluationSet(name, title, bad, good, good if good.any() else benign & learned_from))
    return found


def not_learned(frame: pd.DataFrame, effects: list[str]) -> Flags:
    """Files with neither label that detectors learn: broken, unclear, and malicious ones of other effects."""
    malicious = (frame["label"] == "malicious") & ~frame["effect"].isin(effects)
    return (malicious | ~frame["label"].isin(("benign", "malicious"))).to_numpy(bool)


def digest(frame: pd.DataFrame) -> str:
    """sha256 over the sorted hashes of a set's files."""
    return sha256("\n".join(sorted(frame["sha256"].astype(str))).encode()).hexdigest()


def _contains(frame: pd.DataFrame, text: str) -> Flags:
    return np.asarray(frame["note"].str.contains(text, regex=False), dtype=bool)
