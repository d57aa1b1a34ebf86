"""scikit-learn: fitted estimators, pipelines and searches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
from sklearn import (
    cluster,
    compose,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    model_selection,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)  # fmt: skip

from ..assemble import words
from ..assemble.conversion import dumps
from .plain import config, text
from .saved import Saved

Make = Callable[[Random], Any]

SIMPLE: dict[str, Make] = {
    "LinearRegression": lambda rng: linear_model.LinearRegression(),
    "LogisticRegression": lambda rng: linear_model.LogisticRegression(C=rng.random() + 0.1),
    "Ridge": lambda rng: linear_model.Ridge(),
    "Lasso": lambda rng: linear_model.Lasso(alpha=0.1),
    "SGDClassifier": lambda rng: linear_model.SGDClassifier(random_state=1),
    "Perceptron": lambda rng: linear_model.Perceptron(random_state=1),
    "BayesianRidge": lambda rng: linear_model.BayesianRidge(),
    "SVC": lambda rng: svm.SVC(kernel=rng.choice(["rbf", "linear"]), probability=False),
    "LinearSVC": lambda rng: svm.LinearSVC(random_state=1),
    "SVR": lambda rng: svm.SVR(),
    "DecisionTreeClassifier": lambda rng: tree.DecisionTreeClassifier(max_depth=rng.randrange(2, 8), random_state=1),
    "DecisionTreeRegressor": lambda rng: tree.DecisionTreeRegressor(random_state=1),
    "KNeighborsClassifier": lambda rng: neighbors.KNeighborsClassifier(rng.randrange(2, 6)),
    "NearestNeighbors": lambda rng: neighbors.NearestNeighbors(n_neighbors=2, algorithm="kd_tree"),
    "GaussianNB": lambda rng: naive_bayes.GaussianNB(),
    "BernoulliNB": lambda rng: naive_bayes.BernoulliNB(),
    "KMeans": lambda rng: cluster.KMeans(rng.randrange(2, 5), n_init=1, random_state=1),
    "DBSCAN": lambda rng: cluster.DBSCAN(),
    "PCA": lambda rng: decomposition.PCA(2),
    "TruncatedSVD": lambda rng: decomposition.TruncatedSVD(2, random_state=1),
    "StandardScaler": lambda rng: preprocessing.StandardScaler(),
    "MinMaxScaler": lambda rng: preprocessing.MinMaxScaler(),
    "PolynomialFeatures": lambda rng: preprocessing.PolynomialFeatures(2),
    "SimpleImputer": lambda rng: impute.SimpleImputer(),
    "SelectKBest": lambda rng: feature_selection.SelectKBest(k=2),
    "LinearDiscriminantAnalysis": lambda rng: discriminant_analysis.LinearDiscriminantAnalysis(),
    "DummyClassifier": lambda rng: dummy.DummyClassifier(),
    "GaussianMixture": lambda rng: mixture.GaussianMixture(2, random_state=1),
    "MLPClassifier": lambda rng: neural_network.MLPClassifier((rng.randrange(2, 9),), max_iter=5, random_state=1),
    "GaussianProcessRegressor": lambda rng: gaussian_process.GaussianProcessRegressor(random_state=1),
    "RandomForestClassifier": lambda rng: ensemble.RandomForestClassifier(rng.choice((3, 10, 40)), random_state=1),
    "RandomForestRegressor": lambda rng: ensemble.RandomForestRegressor(rng.choice((3, 10, 40)), random_state=1),
    "ExtraTreesClassifier": lambda rng: ensemble.ExtraTreesClassifier(5, random_state=1),
    "GradientBoostingClassifier": lambda rng: ensemble.GradientBoostingClassifier(
        n_estimators=rng.choice((2, 15)), random_state=1
    ),
    "AdaBoostClassifier": lambda rng: ensemble.AdaBoostClassifier(n_estimators=5, random_state=1),
    "BaggingClassifier": lambda rng: ensemble.BaggingClassifier(n_estimators=4, random_state=1),
    "IsolationForest": lambda rng: ensemble.IsolationForest(n_estimators=5, random_state=1),
}


def _data(rng: Random) -> tuple[Any, Any]:
    numbers = np.random.default_rng(rng.randrange(2**32))
    features = numbers.standard_normal((30, 4))
    return features, (features[:, 0] > 0).astype(int)


def fitted(rng: Random, name: str) -> Any:
    """One of the simple estimators, fitted to 30 rows of noise."""
    features, target = _data(rng)
    return SIMPLE[name](rng).fit(features, target)


def _pipeline(rng: Random) -> Any:
    features, target = _data(rng)
    model = SIMPLE[rng.choice(["LogisticRegression", "SVC", "DecisionTreeClassifier", "GaussianNB"])](rng)
    return pipeline.Pipeline([("scale", preprocessing.StandardScaler()), ("model", model)]).fit(features, target)


def _search(rng: Random) -> Any:
    features, target = _data(rng)
    kind = rng.choice((model_selection.GridSearchCV, model_selection.RandomizedSearchCV))
    grid = {"max_depth": [2, 3, 4]}
    extra = {"n_iter": 2, "random_state": 1} if kind is model_selection.RandomizedSearchCV else {}
    found = kind(tree.DecisionTreeClassifier(random_state=1), grid, cv=2, **extra).fit(features, target)
    for key, values in found.cv_results_.items():
        if "time" in key:
            values[:] = 0.001
    found.refit_time_ = 0.001
    return found


def _vectorizer(rng: Random) -> Any:
    documents = [" ".join(rng.sample(words.PLAIN, 8)) for _ in range(12)]
    kind = rng.choice((feature_extraction.text.CountVectorizer, feature_extraction.text.TfidfVectorizer))
    found = kind().fit(documents)
    found._stop_words_id = 140_000_000_000_000  # an address otherwise
    return found


def _encoder(rng: Random) -> Any:
    labels = [rng.choice(words.PLAIN) for _ in range(20)]
    if rng.random() < 0.5:
        return preprocessing.LabelEncoder().fit(labels)
    return preprocessing.OneHotEncoder(handle_unknown="ignore").fit([[label] for label in labels])


def _columns(rng: Random) -> Any:
    features, _ = _data(rng)
    parts = [("a", preprocessing.StandardScaler(), [0, 1]), ("b", preprocessing.MinMaxScaler(), [2, 3])]
    return compose.ColumnTransformer(parts).fit(features)


def _voting(rng: Random) -> Any:
    features, target = _data(rng)
    parts = [("a", SIMPLE["GaussianNB"](rng)), ("b", SIMPLE["DecisionTreeClassifier"](rng))]
    return ensemble.VotingClassifier(parts).fit(features, target)


def _bundle(rng: Random) -> Any:
    return {"model": fitted(rng, rng.choice(list(SIMPLE))), "scaler": fitted(rng, "StandardScaler"),
            "features": [text(rng) for _ in range(4)], "meta": config(rng, 0)}  # fmt: skip


def _unfitted(rng: Random) -> Any:
    return SIMPLE[rng.choice(list(SIMPLE))](rng)


COMPOSED: dict[str, Make] = {
    "Pipeline": _pipeline, "search": _search, "vectorizer": _vectorizer, "encoder": _encoder,
    "ColumnTransformer": _columns, "VotingClassifier": _voting, "bundle": _bundle, "unfitted": _unfitted,
}  # fmt: skip


def model(rng: Random, index: int) -> tuple[str, Any]:
    """A name and an estimator; every kind has its turn."""
    kinds = [*SIMPLE, *COMPOSED, *COMPOSED]
    kind = kinds[index % len(kinds)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind, COMPOSED[kind](rng) if kind in COMPOSED else fitted(rng, kind)


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield plain pickles of estimators."""
    first = rng.randrange(1000)
    for index in range(count):
        kind, estimator = model(rng, first + index)
        data = dumps(estimator, rng.choice((2, 3, 4, 4, 4, 5)))
        yield Saved(kind, "scikit-learn", data, data)
