"""What commands print: results on standard output, everything else on standard error."""

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from neurofocus.ingest.flow import FlowStep
    from neurofocus.workflows.cross_validate import CrossValidationResult

__all__ = [
    "flow_lines",
    "print_error",
    "print_json",
    "print_warning",
    "set_up_logging",
    "summary_lines",
    "video_lines",
]

_HEADLINES = ("balanced_accuracy", "roc_auc", "accuracy", "sensitivity", "specificity")


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def print_error(message: str) -> None:
    """Print what the user can mend as one line on standard error."""
    typer.echo(f"neurofocus: error: {' '.join(message.split())}", err=True)


def print_warning(message: str) -> None:
    """Print what the user should know as one line on standard error."""
    typer.echo(f"neurofocus: warning: {' '.join(message.split())}", err=True)


def flow_lines(flow: "Iterable[FlowStep]") -> list[str]:
    """Return the inclusion flow as lines: how many there are, how many left and why, by label."""
    lines = []
    for step in flow:
        labels = ", ".join(f"{name} {count}" for name, count in step.by_label.items())
        if step.kind == "dropped":
            lines.append(f"{-step.count:>7}  {step.unit}: {step.step}  ({labels})")
        else:
            lines.append(f"{step.count:>7}  {step.step}  ({labels})")
    return lines


def set_up_logging(verbose: bool) -> None:
    """Send the package's log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("neurofocus")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def summary_lines(result: "CrossValidationResult") -> list[str]:
    """Return the few lines a person reads after a cross-validation."""
    if result.metrics is None:
        return [f"{result.out}: {result.message}"]
    metrics = result.metrics
    lines = []
    if metrics["synthetic"]:
        lines.append("SYNTHETIC cohort: these numbers say nothing about patients.")
    for name in _HEADLINES:
        if (entry := metrics["pooled"].get(name)) and None not in entry.values():
            lines.append(
                f"{name:<18} {entry['value']:.3f}  (95 % interval {entry['low']:.3f} to {entry['high']:.3f})"
            )
    baseline = metrics["baseline"]
    lines.append(
        f"baseline           always {baseline['majority_class']}: accuracy {baseline['accuracy']:.3f}, "
        f"balanced accuracy {baseline['balanced_accuracy']:.3f}"
    )
    if ceiling := metrics.get("bayes_ceiling"):
        lines.append(
            f"Bayes ceiling      ROC-AUC {ceiling['auc']:.3f}, balanced accuracy {ceiling['balanced_accuracy']:.3f}"
        )
    lines.extend(_expectation_lines(metrics.get("expectations", ())))
    lines.append(f"mean GFLOPs a case {metrics['mean_gflops']:.4f}  (1e9 multiply-adds)")
    if exits := metrics.get("exits"):
        lines.append(_exit_line(exits))
    lines.append(f"report             {result.out / 'report.html'}")
    lines.append(f"bundle             {result.out / 'bundle'}")
    return lines


def _exit_line(exits: Mapping[str, Any]) -> str:
    """Return what conditional exits reach half-way between the cheapest and the dearest exit."""
    middle = len(exits["conditional"]) // 2
    point, dealt = exits["conditional"][middle], exits["random"][middle]
    found, other = (each["balanced_accuracy"]["value"] for each in (point, dealt))
    if found is None:
        return "conditional exit   nothing to measure: the scored scans are of one class"
    return (
        f"conditional exit   balanced accuracy {found:.3f} at {point['gflops']:.4f} GFLOPs a case; random exit "
        f"{other:.3f}"
    )


def _expectation_lines(expectations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what honest studies of such data reach, and an alarm where the result is too good."""
    lines = []
    for item in expectations:
        lines.append(
            f"expected           {item['metric']} {item['low']} to {item['high']}  ({item['source']})"
        )
        if item["verdict"] == "alarm":
            lines.append(
                f"ALARM              {item['metric']} {item['value']:.3f} is above {item['alarm']}: look for a leak or a "
                "confound (site, age, processing) before believing it"
            )
    return lines


def video_lines(metrics: Mapping[str, Any], files: Mapping[str, Any]) -> list[str]:
    """Return the few lines a person reads after an evaluation of videos."""
    lines = [f"{metrics['dataset']}, {metrics['split']} split: {metrics['n_videos']} videos"]
    if metrics["synthetic"]:
        lines.insert(0, "SYNTHETIC videos: these numbers say nothing about real ones.")
    for name, entry in metrics["pooled"].items():
        bounds = f"(95 % interval {entry['low']:.4f} to {entry['high']:.4f})"
        lines.append(
            f"{name:<18} {entry['value']:.4f}  {bounds}, class shares {metrics['baseline'][name]:.4f}"
        )
    lines.append(
        f"GFLOPs a video     {metrics['mean_gflops']:.4g}  (1e9 multiply-adds, {metrics['crops']} crop{'s' if metrics['crops'] > 1 else ''})"
    )
    lines += _budget_lines(metrics["exits"] or {})
    return lines + [f"{kind:<18} {path}" for kind, path in files.items()]


def _budget_lines(exits: Mapping[str, Any]) -> list[str]:
    """Return what came of a budget, if there was one."""
    if "budget" not in exits:
        return []
    expected = exits["expected"]
    interval = expected["top1_interval"]
    known = "  (95 % interval {:.4f} to {:.4f})".format(*interval) if interval else ""
    shares = ", ".join(
        f"{step} {100 * share:.1f} %" for step, share in zip(exits["steps"], exits["shares"], strict=True)
    )
    lines = [
        f"budget             {exits['budget']:g} GFLOPs a video",
        f"expected           {expected['gflops']:.4g} GFLOPs, top1 {expected['top1']:.4f}{known}  ({exits['solved_on']})",
        f"stopped at step    {shares}",
    ]
    if seconds := exits.get("seconds"):
        lines.append(
            f"seconds a video    {seconds['within_budget']:.4f}, to the end {seconds['to_the_end']:.4f}: ratio "
            f"{seconds['ratio']:.3f}  (model only, batch {seconds['batch_size']}, {seconds['device']})"
        )
    return lines
