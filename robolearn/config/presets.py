"""Presets by name and where their files are, ours and plugins'. Reads no schema, so that a computer without torch can list them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.registry import OWN, Registry, taken
from policies.schema import wrong
from policies.yaml_tree import expand, parse, shown
from robolearn.errors import ConfigError, suggestion

PRESETS = Registry("preset", of=Path)
"""Those of plugins."""


def presets_dir() -> Path:
    """The folder of presets: inside the package if installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def preset_names() -> list[str]:
    """Names of all presets, ours and those of plugins, sorted.

    Raises:
        policies.plugins.PluginError: a plugin's preset has the name of one of ours.
    """
    ours = [path.stem for path in presets_dir().glob("*.yaml")]
    for name in ours:
        if name in PRESETS:
            raise taken("preset", name, OWN, PRESETS.source(name))
    return sorted([*ours, *PRESETS])


def preset_path(preset: str | Path, beside: Path | None = None) -> Path:
    """The file of a preset.

    Args:
        preset: a preset's name, or a path.
        beside: folder in which a relative path or name is looked up first.

    Raises:
        ConfigError: no such preset or file; lists the presets that exist.
    """
    text = str(preset)
    is_path = text.endswith((".yaml", ".yml"))
    candidates = [] if beside is None else [beside / (text if is_path else f"{text}.yaml")]
    candidates.append(expand(preset) if is_path else presets_dir() / f"{text}.yaml")
    for path in candidates:
        if path.is_file():
            return path
    if not is_path and text in PRESETS:
        return PRESETS.get(text)
    if is_path:
        raise ConfigError(f"no configuration file at {shown(candidates[-1])}")
    if Path(f"{text}.yaml").is_file():
        raise ConfigError(f"no preset {text!r}; did you mean the file {text}.yaml?")
    if Path(text).is_dir():
        raise ConfigError(f"{text} is a folder and no preset; a training continues with --resume {text}")
    names = preset_names()
    valid = f"valid: {', '.join(names) or 'none'}, or the path of a .yaml file"
    own = "for a preset of a package, install the package or give --import PACKAGE"
    raise ConfigError(f"no preset {text!r}{suggestion(text, names)}; {valid}; {own}")


def loads_any(text: str, source: str = "<text>") -> dict[str, Any]:
    """YAML text as plain top-level values, before its schema is known; nested tables stay nodes.

    Raises:
        ConfigError: not YAML, or not a table.
    """
    tree = parse(text, source)
    if not isinstance(tree.value, dict):
        raise wrong(tree, "", "a table (key: value)")
    return {str(key): node.value for key, node in tree.value.items()}
