"""Models of eight makers, trained on the demo's rows and written as ONNX by the makers' own converters."""

import io
import os
import tempfile
import warnings
from dataclasses import dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import numpy as np
import onnx.helper

# The widths of the original platform's network.
INPUTS, HIDDEN = 30, 128


@dataclass
class Made:
    """A model as ONNX, the columns of its one input if it has one, and the maker's own scores of the rows."""

    name: str
    onnx: bytes
    columns: list | None
    scores: np.ndarray
    is_tree: bool


def _plain_integers():
    """skl2onnx hands NumPy's numbers to onnx, which takes Python's only."""
    make = onnx.helper.make_attribute

    def plain(value):
        if isinstance(value, (bool, np.bool_)):
            return int(value)
        return value.item() if isinstance(value, np.generic) else value

    def patched(key, value, *more, **named):
        if isinstance(value, (list, tuple)):
            value = [plain(element) for element in value]
        return make(key, value, *more, **named)

    onnx.helper.make_attribute = patched


def _scaled(rows, numbers):
    """The first numbers, without missing ones, standardized: what a network outside of the database is given."""
    values = rows[numbers].fillna(0).to_numpy("float32")
    mean, deviation = values.mean(0), values.std(0)
    return values, mean, np.where(deviation > 0, deviation, 1)


def keras(rows, numbers, texts, label):
    """The original platform's TensorFlow network: inputs, 128 with ReLU, one with sigmoid."""
    import tensorflow as tf

    numbers = numbers[:INPUTS]
    values, mean, deviation = _scaled(rows, numbers)
    tf.keras.utils.set_random_seed(1)
    layers = tf.keras.layers
    inputs = layers.Input((len(numbers),))
    hidden = layers.Dense(HIDDEN, "relu")(layers.Rescaling(list(1 / deviation), list(-mean / deviation))(inputs))
    model = tf.keras.Model(inputs, layers.Dense(1, "sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy")
    model.fit(values, label, epochs=3, batch_size=256, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.export(f"{folder}/model.onnx", format="onnx", verbose=False)
        with open(f"{folder}/model.onnx", "rb") as file:
            made = file.read()
    return Made("keras", made, numbers, model.predict(values, verbose=0)[:, 0], False)


def pytorch(rows, numbers, texts, label):
    """A network with normalization and Gelu, by torch.onnx."""
    import torch

    numbers = numbers[:INPUTS]
    values, mean, deviation = _scaled(rows, numbers)
    torch.manual_seed(1)
    nn = torch.nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.tensor(mean))
            self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))
            self.layers = nn.Sequential(
                nn.Linear(len(numbers), 64), nn.BatchNorm1d(64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ELU(),
                nn.Linear(32, 1))

        def forward(self, x):
            return torch.sigmoid(self.layers((x - self.mean) / self.deviation))

    model, inputs, target = Network(), torch.tensor(values), torch.tensor(label, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for batch in torch.randperm(len(inputs), generator=torch.Generator().manual_seed(1)).split(512):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(model(inputs[batch])[:, 0], target[batch]).backward()
        optimizer.step()
    model.eval()
    made = io.BytesIO()
    torch.onnx.export(model, (inputs[:2],), made, input_names=["rows"], output_names=["score"],
                      dynamic_axes={"rows": {0: "n"}, "score": {0: "n"}}, dynamo=False)
    with torch.no_grad():
        return Made("pytorch", made.getvalue(), numbers, model(inputs)[:, 0].numpy(), False)


def _pipeline(name, last, steps, rows, numbers, texts, label, is_tree):
    """A scikit-learn pipeline with one input for each column, by skl2onnx."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.pipeline import Pipeline

    model = Pipeline([("columns", steps), ("model", last)])
    data = rows[numbers].astype("float32").join(rows[texts].fillna(""))
    model.fit(data, label)
    types = [(name, FloatTensorType([None, 1])) for name in numbers]
    types += [(name, StringTensorType([None, 1])) for name in texts]
    made = convert_sklearn(model, initial_types=types).SerializeToString()
    return Made(name, made, None, model.predict_proba(data)[:, 1], is_tree)


def logistic(rows, numbers, texts, label):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    of_numbers = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
    steps = ColumnTransformer([("numbers", of_numbers, numbers), ("texts", OneHotEncoder(handle_unknown="ignore"), texts)])
    return _pipeline("sklearn_logistic", LogisticRegression(max_iter=500), steps, rows, numbers, texts, label, False)


def forest(rows, numbers, texts, label):
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    steps = ColumnTransformer([("numbers", SimpleImputer(strategy="median"), numbers), ("texts", codes, texts)])
    last = RandomForestClassifier(60, max_depth=9, random_state=1)
    return _pipeline("sklearn_forest", last, steps, rows, numbers, texts, label, True)


def histogram_boosting(rows, numbers, texts, label):
    from skl2onnx import to_onnx
    from sklearn.ensemble import HistGradientBoostingClassifier

    values = rows[numbers].to_numpy("float32")
    model = HistGradientBoostingClassifier(max_iter=80, random_state=1).fit(values, label)
    made = to_onnx(model, values[:1], options={"zipmap": False}).SerializeToString()
    return Made("sklearn_boosting", made, numbers, model.predict_proba(values)[:, 1], True)


def lightgbm(rows, numbers, texts, label):
    import lightgbm
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    values = rows[numbers].to_numpy("float32")
    model = lightgbm.LGBMClassifier(n_estimators=80, random_state=1, verbose=-1).fit(values, label)
    made = onnxmltools.convert_lightgbm(model, initial_types=[("rows", FloatTensorType([None, len(numbers)]))])
    return Made("lightgbm", made.SerializeToString(), numbers, model.predict_proba(values)[:, 1], True)


def xgboost(rows, numbers, texts, label):
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    values = rows[numbers].to_numpy("float32")
    model = xgboost.XGBClassifier(n_estimators=80, random_state=1).fit(values, label)
    made = onnxmltools.convert_xgboost(model, initial_types=[("rows", FloatTensorType([None, len(numbers)]))])
    return Made("xgboost", made.SerializeToString(), numbers, model.predict_proba(values)[:, 1], True)


def catboost(rows, numbers, texts, label):
    import catboost

    values = rows[numbers].to_numpy("float32")
    model = catboost.CatBoostClassifier(iterations=80, random_seed=1, verbose=0, allow_writing_files=False)
    model.fit(values, label)
    with tempfile.TemporaryDirectory() as folder:
        model.save_model(f"{folder}/model.onnx", format="onnx")
        with open(f"{folder}/model.onnx", "rb") as file:
            made = file.read()
    return Made("catboost", made, numbers, model.predict_proba(values)[:, 1], True)


_plain_integers()
ALL = [keras, pytorch, logistic, forest, histogram_boosting, lightgbm, xgboost, catboost]
