"""`python -m clients.python.generate`: writes `guestprefs_client/models.py` from the shapes that clients read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from datamodel_code_generator import DataModelType, Formatter, InputFileType, PythonVersion, generate
from datamodel_code_generator.config import GenerateConfig

from clients import shapes

MODELS = Path(__file__).resolve().parent / "src" / "guestprefs_client" / "models.py"
HEADER = '"""Shapes of the answers, made from clients/openapi.json by `make sdk-models`: never edited by hand."""'


def written(document: str) -> str:
    """The module as it is to be checked in."""
    made = generate(
        shapes.taken(document),
        config=GenerateConfig(
            input_file_type=InputFileType.OpenAPI,
            output_model_type=DataModelType.PydanticV2BaseModel,
            target_python_version=PythonVersion.PY_312,
            extra_fields="allow",
            use_standard_collections=True,
            use_union_operator=True,
            use_schema_description=True,
            disable_timestamp=True,
            use_double_quotes=True,
            formatters=[Formatter.BUILTIN],
        ),
    )
    body = re.sub(r"\A(#.*\n)+\s*", "", str(made))
    return f"{HEADER}\n\n{body.rstrip()}\n"


if __name__ == "__main__":
    sys.exit(shapes.run(MODELS, written))
