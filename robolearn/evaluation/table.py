"""Evaluations as a text table, with aligned values and intervals, and what a good policy reaches."""

from __future__ import annotations

from collections.abc import Sequence

from robolearn.evaluation.result import EvaluationResult, Outcome

Cell = tuple[str, str]
"""A value and its interval."""


def show(results: Sequence[EvaluationResult], titles: Sequence[str] | None = None) -> None:
    """Print evaluations of one task side by side.

    Args:
        results: at least one.
        titles: titles of the columns; None for the engines.
    """
    print(text(results, titles))


def text(results: Sequence[EvaluationResult], titles: Sequence[str] | None = None) -> str:
    """The table: a row per figure, a column per evaluation with the 95 % interval in brackets, and the goals if the task has any."""
    heads = list(titles or [result.title for result in results])
    rows: list[tuple[str, list[Cell], str]] = []
    for name, told in results[0].figures.items():
        found = [result.figures[name] for result in results]
        if any(figure.value is not None for figure in found):
            title = name if told.kind == "share" else f"{name} {told.unit}".strip()
            rows.append((title, [_cell(figure) for figure in found], _goal(told)))
    if results[0].ground is not None:
        rows.append(("ground", [(str(result.ground), "") for result in results], ""))
    rows.append(("episodes", [(str(result.episodes), "") for result in results], ""))
    names = max(len(name) for name, _, _ in rows)
    columns = range(len(results))
    values = [max(len(cells[i][0]) for _, cells, _ in rows) for i in columns]
    ends = [max(len(heads[i]) - values[i] - 1, *(len(cells[i][1]) for _, cells, _ in rows)) for i in columns]
    has_goals = any(goal for _, _, goal in rows)
    lines = [" ".join([" " * names, *(f"  {heads[i]:<{values[i] + 1 + ends[i]}}" for i in columns), "  goal" if has_goals else ""])]
    for name, cells, goal in rows:
        told = [f"  {value:>{values[i]}} {interval:<{ends[i]}}" for i, (value, interval) in enumerate(cells)]
        lines.append(" ".join([f"{name:<{names}}", *told, f"  {goal}"]))
    return "\n".join(line.rstrip() for line in lines)


def _cell(figure: Outcome) -> Cell:
    if figure.value is None:
        return "-", ""
    return f"{figure.value:.3f}", "" if figure.interval is None else "[{:.3f}, {:.3f}]".format(*figure.interval)


def _goal(figure: Outcome) -> str:
    """What a good policy reaches; empty if the task does not say."""
    return "" if figure.goal is None else f"{'at least' if figure.better == 'more' else 'at most':<8} {figure.goal:.3f}"
