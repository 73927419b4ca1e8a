"""What is said of the route hi_res before any document: what is missing, how to get it, and what names the models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli
from tasks import partition
from tasks.errors import MissingCapabilityError
from tasks.partition.capabilities import resolve_capabilities
from tasks.partition.detect import IMAGES, PDF
from tasks.partition.hi_res import installed
from tasks.settings import HiResSettings, PartitionSettings, Settings, load_settings
from tests.files import make_pdf


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HiResSettings:
    """Two files that may be models as far as anybody looks at them here, and packages that may be installed."""
    monkeypatch.setattr(installed, "_MODULES", ())
    monkeypatch.setattr(installed, "version", lambda name: "1.2.3")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    layout, table = tmp_path / "models" / "yolox_l0.05.onnx", tmp_path / "models" / "tables"
    table.mkdir(parents=True)
    layout.write_bytes(b"\x08\x0a layout")
    (table / "model.safetensors").write_bytes(b"weights")
    config = {"model_type": "table-transformer", "backbone": "resnet18", "use_timm_backbone": True}
    (table / "config.json").write_text(json.dumps(config))
    return HiResSettings(layout_model=str(layout), table_model=str(table))


def refused(settings: HiResSettings) -> MissingCapabilityError:
    with pytest.raises(MissingCapabilityError) as caught:
        installed.capability(settings)
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_missing_packages_are_named_with_the_way_to_get_them(
    models: HiResSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_MODULES", ("json", "no_such_package", "nor_this_one"))
    error = refused(models)
    assert "no_such_package, nor_this_one" in error.message and "json" not in error.message
    assert "pip install 'bindery[hi-res]'" in error.hint and "make setup-hi-res" in error.hint


def test_missing_models_are_named_with_the_way_to_get_them(models: HiResSettings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "my models" / "yolox_l0.05.onnx"
    error = refused(models.model_copy(update={"layout_model": str(elsewhere)}))
    assert str(elsewhere) in error.message and "layout model" in error.message
    assert error.hint == f"hf download unstructuredio/yolo_x_layout yolox_l0.05.onnx --local-dir '{elsewhere.parent}'"
    error = refused(models.model_copy(update={"table_model": str(tmp_path / "none")}))
    assert "table model" in error.message
    assert error.hint == (
        "hf download microsoft/table-transformer-structure-recognition config.json model.safetensors "
        f"--local-dir {tmp_path / 'none'}"
    )


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS")]
)
def test_files_that_are_no_models_are_told(models: HiResSettings, content: bytes, said: str) -> None:
    Path(str(models.layout_model)).write_bytes(content)
    assert said in refused(models).message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("not JSON", "describes no model"),
        ("[]", "describes no model"),
        ('{"model_type": "bert"}', "kind bert"),
        ('{"model_type": "table-transformer", "backbone": "resnet50"}', "on resnet50"),
    ],
)
def test_another_table_model_is_refused(models: HiResSettings, config: str, said: str) -> None:
    (Path(str(models.table_model)) / "config.json").write_text(config)
    assert said in refused(models).message


def test_models_are_named_by_their_content_and_not_by_their_place(models: HiResSettings, tmp_path: Path) -> None:
    first = installed.capability(models)
    assert first.startswith("bindery 1 unstructured 1.2.3 unstructured-inference 1.2.3 layout ")
    shutil.copytree(tmp_path / "models", tmp_path / "moved")
    moved = HiResSettings(
        layout_model=str(tmp_path / "moved/yolox_l0.05.onnx"), table_model=str(tmp_path / "moved/tables")
    )
    assert installed.capability(moved) == first
    found = {first}
    for name in ("yolox_l0.05.onnx", "tables/model.safetensors", "tables/config.json"):
        path = tmp_path / "moved" / name
        path.write_bytes(path.read_bytes() + b"\n")
        found.add(installed.capability(moved))
    assert len(found) == 4


def test_route_and_models_are_in_the_recipe_of_what_they_decide_and_of_nothing_else(models: HiResSettings) -> None:
    default = Settings(partition=PartitionSettings(hi_res=models))
    chosen = Settings(partition=PartitionSettings(route="hi_res", hi_res=models))
    plain, known = resolve_capabilities(default.partition), resolve_capabilities(chosen.partition)
    assert plain == resolve_capabilities() and known == {**plain, "hi_res": installed.capability(models)}
    for media_type in (PDF, *IMAGES):
        before, after = (partition.recipe(s, c, media_type) for s, c in ((default, plain), (chosen, known)))
        assert before == partition.recipe(Settings(), resolve_capabilities(), media_type)
        assert dict(after.settings) == {**before.settings, "route": "hi_res", "hi_res_dpi": 200}
        assert dict(after.capabilities) == {**before.capabilities, "hi_res": known["hi_res"]}
    text = partition.recipe(chosen, known, "text/plain")
    assert text == partition.recipe(default, plain, "text/plain")


def test_without_paths_the_models_are_in_the_folder_of_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().partition.hi_res == HiResSettings()
    monkeypatch.setenv("BINDERY_PARTITION__ROUTE", "hi_res")
    monkeypatch.setenv("BINDERY_MODELS", str(tmp_path / "models"))
    found = load_settings().partition.hi_res
    assert found.layout_model == str(tmp_path / "models" / "hi_res" / "yolox_l0.05.onnx")
    assert found.table_model == str(tmp_path / "models" / "hi_res" / "table-transformer")
    monkeypatch.setenv("BINDERY_PARTITION__HI_RES__LAYOUT_MODEL", "here.onnx")
    assert load_settings().partition.hi_res.layout_model == str(tmp_path / "here.onnx")


@pytest.mark.parametrize("command", [["inspect"], ["ingest"], ["ingest", "--dry-run"], ["cost"]])
def test_commands_end_before_any_document_where_models_are_missing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installed, "_MODULES", ())
    monkeypatch.setenv("BINDERY_PARTITION__ROUTE", "hi_res")
    monkeypatch.setenv("BINDERY_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("BINDERY_LAKE", str(tmp_path / "lake"))
    path = make_pdf(tmp_path / "a.pdf", [[(72, 700, 12, "Words")]])
    assert cli.run([*command, str(path)]) == 1
    said = capsys.readouterr().err
    assert "needs its layout model" in said and "hf download unstructuredio/yolo_x_layout" in said
    assert not (tmp_path / "lake").exists()


def test_the_default_route_imports_nothing_of_it() -> None:
    script = (
        "import sys; import tasks.partition.preload; from tasks.partition.capabilities import resolve_capabilities; "
        "resolve_capabilities(); "
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'unstructured_inference', 'transformers') "
        "or m.startswith('tasks.partition.hi_res')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
