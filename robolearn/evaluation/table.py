"""Evaluations as a table for people, an interval beside each figure."""

from __future__ import annotations

from collections.abc import Sequence

from robolearn.evaluation.result import EvaluationResult

NAME, COLUMN = 22, 26  # letters


def show(results: Sequence[EvaluationResult], titles: Sequence[str] | None = None) -> None:
    """Print evaluations of one task side by side.

    Args:
        results: at least one.
        titles: of the columns; the engines where None.
    """
    print(text(results, titles))


def text(results: Sequence[EvaluationResult], titles: Sequence[str] | None = None) -> str:
    """The table."""
    rows: list[tuple[str, list[str]]] = [("", list(titles or [result.engine for result in results]))]
    for name, told in results[0].figures.items():
        found = [result.figures[name] for result in results]
        if all(figure.value is None for figure in found):
            continue
        cells = []
        for figure in found:
            ends = "" if figure.interval is None else " [{:.3f}, {:.3f}]".format(*figure.interval)
            cells.append("-" if figure.value is None else f"{figure.value:.3f}{ends}")
        rows.append((name if told.kind == "share" else f"{name} {told.unit}".strip(), cells))
    if results[0].ground is not None:
        rows.append(("ground", [str(result.ground) for result in results]))
    rows.append(("episodes", [str(result.episodes) for result in results]))
    width = max(NAME, max(len(name) for name, _ in rows) + 1)
    return "\n".join(f"{name:{width}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells) for name, cells in rows)
