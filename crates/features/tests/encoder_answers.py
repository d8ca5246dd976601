"""What scikit-learn answers to the inputs of encoder_answers.rs. Writes encoder_answers.json beside this file.

Made with the versions stored under "made_with" and the seed below:

    python3 -m venv /tmp/answers
    /tmp/answers/bin/pip install scikit-learn==1.9.1 nltk==3.10.4 xxhash==4.1.0
    /tmp/answers/bin/python crates/features/tests/encoder_answers.py
"""

import json
import pathlib
import warnings
from collections import Counter

import nltk
import numpy as np
import sklearn
import xxhash
from nltk.util import everygrams
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    KBinsDiscretizer, MaxAbsScaler, MinMaxScaler, MultiLabelBinarizer, Normalizer, OneHotEncoder, OrdinalEncoder,
    PolynomialFeatures, RobustScaler, StandardScaler,
)

warnings.simplefilter("ignore")
SEED = 20261123
random = np.random.default_rng(SEED)


def column(values):
    return np.array(values, dtype=float).reshape(-1, 1)


def flat(matrix):
    return np.asarray(matrix, dtype=float).ravel().tolist()


columns = {
    "normal": random.normal(3, 2, 400),
    "skewed": random.lognormal(1, 2, 301),
    "far from zero": 1e9 + random.normal(0, 1e-1, 257),
    "counts": random.poisson(1.2, 500).astype(float),
    "constant": np.full(50, 0.1),
    "zeros": np.zeros(7),
    "single": np.array([-4.5]),
    "two": np.array([-1.0, 4.0]),
}
# Values that need not have been in the column.
PROBES = [-1e6, -1.0, -0.0, 0.1, 0.5, 1.0, 3.0, 1e9, 2e9]


def scalers(values):
    fitted, probes = column(values), column(PROBES)
    standard, min_max = StandardScaler().fit(fitted), MinMaxScaler().fit(fitted)
    max_abs, robust = MaxAbsScaler().fit(fitted), RobustScaler().fit(fitted)
    wide = RobustScaler(quantile_range=(5.0, 90.0)).fit(fitted)
    return {
        "values": values.tolist(),
        "mean": standard.mean_[0],
        "divisor": standard.scale_[0],
        "minimum": min_max.data_min_[0],
        "maximum": min_max.data_max_[0],
        "max_abs": max_abs.max_abs_[0],
        "median": robust.center_[0],
        "standard": flat(standard.transform(probes)),
        "min_max": flat(min_max.transform(probes)),
        "max_abs_scaled": flat(max_abs.transform(probes)),
        "robust": flat(robust.transform(probes)),
        "robust_5_90": flat(wide.transform(probes)),
        "quantiles": np.quantile(values, np.linspace(0, 1, 41)).tolist(),
    }


def buckets(values, n):
    binner = KBinsDiscretizer(n, encode="ordinal", strategy="quantile", quantile_method="linear", subsample=None)
    found = binner.fit(column(values))
    return {
        "values": values.tolist(),
        "buckets": n,
        "boundaries": found.bin_edges_[0][1:-1].tolist(),
        "numbers": [int(x) for x in flat(found.transform(column(PROBES)))],
    }


texts = random.choice(["milk", "bread", "Äpfel", "apples", "", "beer"], 200, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.2]).tolist()
counted = Counter(texts)
vocabulary = sorted(counted, key=lambda text: (-counted[text], text.encode()))
probe_texts = ["beer", "wine", "", "milk", "Äpfel"]
baskets = [random.choice(vocabulary, random.integers(0, 4)).tolist() for _ in range(20)]
ordinal = OrdinalEncoder(categories=[vocabulary], handle_unknown="use_encoded_value", unknown_value=-1)
one_hot = OneHotEncoder(categories=[vocabulary], handle_unknown="ignore", sparse_output=False)
as_column = np.array(texts, dtype=object).reshape(-1, 1)
probe_column = np.array(probe_texts, dtype=object).reshape(-1, 1)

gaps = np.array([1.0, np.nan, 2.5, 2.5, 7.0, np.nan, 1.0, 9.25])
vectors = [[3.0, -4.0], [0.0, 0.0], [1e150, 1e150], [1e-10, 2e-10], random.normal(0, 5, 9).tolist()]
polynomials = [([2.0, 3.0, -0.5], 3), ([1.5], 10), (random.normal(0, 2, 6).tolist(), 4), ([1.0, 2.0], 1)]
words = "the ripe red apples of the north".split()
counting = CountVectorizer(ngram_range=(2, 3), token_pattern=r"\S+").fit([" ".join(words)])

answers = {
    "made_with": {
        "scikit-learn": sklearn.__version__, "numpy": np.__version__, "nltk": nltk.__version__,
        "xxhash": xxhash.VERSION, "seed": SEED,
    },
    "probes": PROBES,
    "scalers": {name: scalers(values) for name, values in columns.items()},
    "buckets": [buckets(columns[name], n) for name in ("normal", "skewed", "counts") for n in (2, 4, 10)],
    "bucketize": {
        "boundaries": [-1.0, 0.0, 0.5, 3.0],
        "numbers": np.searchsorted([-1.0, 0.0, 0.5, 3.0], PROBES, side="right").tolist(),
    },
    "vocabulary": {
        "texts": texts,
        "vocabulary": vocabulary,
        "probes": probe_texts,
        "ordinal": [int(x) for x in flat(ordinal.fit(as_column).transform(probe_column))],
        "one_hot": one_hot.fit(as_column).transform(probe_column).tolist(),
        "baskets": baskets,
        "multi_hot": MultiLabelBinarizer(classes=vocabulary).fit_transform(baskets).tolist(),
        "most_frequent": SimpleImputer(strategy="most_frequent").fit(as_column).statistics_[0],
    },
    "imputer": {
        "values": [None if np.isnan(x) else x for x in gaps],
        **{s: SimpleImputer(strategy=s).fit(column(gaps)).statistics_[0] for s in ("mean", "median", "most_frequent")},
    },
    "normalize": [
        {"values": v, **{norm: flat(Normalizer(norm=norm).transform([v])) for norm in ("l1", "l2", "max")}}
        for v in vectors
    ],
    "polynomial": [
        {"values": v, "degree": d, "terms": flat(PolynomialFeatures(d, include_bias=False).fit_transform([v]))}
        for v, d in polynomials
    ],
    "ngrams": {
        "tokens": words,
        "everygrams_2_3": [" ".join(gram) for gram in everygrams(words, 2, 3)],
        "counted_2_3": sorted(counting.vocabulary_),
    },
    "hash": [{"text": t, "xxh64": str(xxhash.xxh64(t.encode()).intdigest())} for t in texts[:3] + ["", "x" * 100, "日本"]],
}
target = pathlib.Path(__file__).with_suffix(".json")
target.write_text(json.dumps(answers, ensure_ascii=False, allow_nan=False) + "\n")
