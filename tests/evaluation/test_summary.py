import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle

from neurofocus.evaluation.summary import summarise

CLASSES = ["CN", "AD"]


def draw_predictions(count: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat([0, 1], [count * 2 // 3, count - count * 2 // 3]))
    positive = 1 / (1 + np.exp(-(rng.normal(size=count) + 1.5 * label - 0.7)))
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i:03d}" for i in range(count)],
            "session_id": "n/a",
            "fold": 1 + np.arange(count) % 5,
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[(positive > 0.45).astype(int)],
            "prob_CN": 1 - positive,
            "prob_AD": positive,
            "gflops": rng.random(count) + 2,
        }
    )


def test_the_schema_and_its_figures() -> None:
    rows = draw_predictions()
    result = summarise(
        rows, CLASSES, threshold_rule="validation", synthetic=True, bayes_ceiling={"roc_auc": 0.97}
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["classes"] == CLASSES
    assert result["positive"] == "AD"
    assert result["n_subjects"] == result["n_scans"] == 60
    assert (
        result["confusion_matrix"]
        == oracle.confusion_matrix(rows["label"], rows["predicted"], labels=CLASSES).tolist()
    )
    area = result["pooled"]["roc_auc"]
    assert area["value"] == pytest.approx(oracle.roc_auc_score(rows["label"] == "AD", rows["prob_AD"]))
    assert area["low"] < area["value"] < area["high"]
    assert result["mean_gflops"] == pytest.approx(rows["gflops"].mean())
    assert result["synthetic"] is True
    assert result["bayes_ceiling"] == {"roc_auc": 0.97}
    assert [fold["fold"] for fold in result["folds"]] == [1, 2, 3, 4, 5]
    values = [
        oracle.balanced_accuracy_score(group["label"], group["predicted"])
        for _, group in rows.groupby("fold")
    ]
    assert result["mean"]["balanced_accuracy"] == pytest.approx(np.mean(values))
    assert result["sd"]["balanced_accuracy"] == pytest.approx(np.std(values, ddof=1))


def test_baseline_is_what_a_constant_reaches() -> None:
    rows = draw_predictions()
    known = summarise(rows, CLASSES, threshold_rule="none")["baseline"]
    share = (rows["label"] == "AD").mean()
    assert known["majority_class"] == "CN"
    assert known["accuracy"] == pytest.approx(1 - share)
    assert known["balanced_accuracy"] == 0.5
    constant = np.full(60, share)
    assert known["brier"] == pytest.approx(oracle.brier_score_loss(rows["label"] == "AD", constant))


def test_rows_in_any_order_give_the_same_file() -> None:
    rows = draw_predictions()
    result = summarise(rows, CLASSES, threshold_rule="x", seed=3)
    assert summarise(rows.sample(frac=1, random_state=1), CLASSES, threshold_rule="x", seed=3) == result
    other = summarise(rows, CLASSES, threshold_rule="x", seed=4)
    assert other["pooled"]["roc_auc"]["low"] != result["pooled"]["roc_auc"]["low"]


def test_three_classes_have_no_positive_one() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 45)
    names = np.array(["A", "B", "C"])
    rows = draw_predictions(45).assign(
        label=names[np.arange(45) % 3], predicted=names[probabilities.argmax(axis=1)]
    )
    for k, name in enumerate(names):
        rows[f"prob_{name}"] = probabilities[:, k]
    result = summarise(rows, list(names), threshold_rule="argmax")
    assert result["positive"] is None
    assert "sensitivity" not in result["pooled"]
    assert result["baseline"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert np.array(result["confusion_matrix"]).sum() == 45


def test_a_fold_with_one_class_is_left_out_of_the_mean() -> None:
    rows = draw_predictions()
    rows = rows[~((rows["fold"] == 2) & (rows["label"] == "AD"))]
    result = summarise(rows, CLASSES, threshold_rule="x")
    assert result["folds"][1]["roc_auc"] is None
    others = [fold["roc_auc"] for fold in result["folds"] if fold["fold"] != 2]
    assert result["mean"]["roc_auc"] == pytest.approx(np.mean(others))


def test_refusals() -> None:
    rows = draw_predictions()
    with pytest.raises(ValueError, match="NaN"):
        summarise(rows.assign(prob_AD=np.nan), CLASSES, threshold_rule="x")
    with pytest.raises(ValueError, match=r"'predicted' holds \['MCI'\]"):
        summarise(rows.assign(predicted="MCI"), CLASSES, threshold_rule="x")
    with pytest.raises(ValueError, match="scored twice"):
        summarise(pd.concat([rows, rows]), CLASSES, threshold_rule="x")
