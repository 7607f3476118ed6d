"""Decides whether a policy may run on a robot: it must do its task on the training engine, and on an engine that it has never seen."""

from __future__ import annotations

from robolearn.evaluation.result import EvaluationResult

MIN_SCORE = 0.9  # on the training engine
KEPT = 0.95  # share of the training engine's score that the precise engine must keep


def deployable(training: EvaluationResult, precise: EvaluationResult) -> bool:
    """The gate: the precise engine keeps at least `KEPT` of the training engine's score, and no figure exceeds its limit there."""
    return not shortcomings(training, precise)


def shortcomings(training: EvaluationResult, precise: EvaluationResult) -> list[str]:
    """The reasons why a file is not deployable, in words; empty if it is deployable."""
    found = []
    what = training.figures[training.score_name].label
    if training.score < MIN_SCORE:
        found.append(f"only {100 * training.score:.1f} % {what} on the training engine, at least {100 * MIN_SCORE:.0f} % required")
    if precise.score < KEPT * training.score:
        found.append(f"the precise engine keeps {precise.score:.3f} of {training.score:.3f}, less than {100 * KEPT:.0f} %")
    for figure in precise.figures.values():
        if figure.limit is None or figure.value is None:
            continue
        more = figure.better == "more"
        if figure.value < figure.limit if more else figure.value > figure.limit:
            bound = f"{'at least' if more else 'at most'} {figure.limit:.3g}"
            found.append(f"a {figure.label} of {figure.value:.3g} {figure.unit} on the precise engine, {bound} required")
    return found
