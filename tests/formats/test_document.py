"""docs/formats.md says of the formats what they say of themselves."""

from sentinel.formats.mapping.file import Action, FieldFrom, Kinds, MappingFile, Recognise, Time
from sentinel.formats.mapping.mapped import TARGETS
from tests.formats.document import PAGE, page


def test_the_table_of_the_page_is_the_formats_own():
    """Whoever adds a format writes the page anew: python -m tests.formats.document."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_key_and_field_of_a_mapping_is_explained():
    """The page is where people look what they may write."""
    text = PAGE.read_text(encoding="utf-8")
    for model in (MappingFile, Recognise, Time, FieldFrom, Action, Kinds):
        for name, field in model.model_fields.items():
            assert f"{field.alias or name}" in text, name
    assert [name for name in TARGETS if f"`{name}`" not in text] == []
