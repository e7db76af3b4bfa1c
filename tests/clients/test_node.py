"""Node is there without anybody having installed it, and says so plainly when its packages cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import node

INTEGRITY = "sha512-" + "A" * 86 + "=="


def test_node_comes_with_the_locked_packages(tmp_path: Path) -> None:
    said = node.run(["--print", "process.versions.node"], tmp_path).stdout
    assert said.startswith("24.")
    with pytest.raises(AssertionError, match="exit 3"):
        node.run(["--eval", "process.exit(3)"], tmp_path)


def test_packages_that_cannot_be_had_are_an_error_and_no_skip(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "x", "dependencies": {"y": "1.0.0"}}), encoding="utf-8")
    entry = {"version": "1.0.0", "integrity": INTEGRITY}
    lock = {"name": "x", "lockfileVersion": 3, "packages": {"": {"dependencies": {"y": "1.0.0"}}}}
    lock["packages"]["node_modules/y"] = entry  # type: ignore[index]
    (tmp_path / "package-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    nowhere = {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_fetch_retries": "0"}
    with pytest.raises(AssertionError, match="could not be installed.*registry"):
        node.packages(tmp_path, npm_config_cache=str(tmp_path / "cache"), **nowhere)


def test_packages_are_installed_once(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "x"}), encoding="utf-8")
    lock = {"name": "x", "lockfileVersion": 3, "packages": {"": {"name": "x"}}}
    (tmp_path / "package-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    modules = node.packages(tmp_path)
    (modules / "mark").touch()
    assert node.packages(tmp_path) == modules and (modules / "mark").exists()
    (tmp_path / "package.json").write_text(json.dumps({"name": "x", "private": True}), encoding="utf-8")
    assert not (node.packages(tmp_path) / "mark").exists()
