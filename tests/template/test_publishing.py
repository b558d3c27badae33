"""A new revision publishes every function anew, and nothing else does: an alias that stays behind would run old code
or old settings, and a version of the same code and settings is one that Lambda refuses."""

from __future__ import annotations

from tests.template.transformed import Template, of_type, transformed


def _versions(template: Template) -> dict[str, str]:
    """The logical id of each function's version, by its function's."""
    versions = of_type(template, "AWS::Lambda::Version")
    return {one["Properties"]["FunctionName"]["Ref"]: name for name, one in versions.items()}


def test_a_new_revision_publishes_every_function() -> None:
    before, after = transformed(), transformed({"Revision": "1" * 64})
    old, new = _versions(before), _versions(after)
    assert old.keys() == new.keys() == of_type(before, "AWS::Lambda::Function").keys()
    assert all(old[name] != new[name] for name in old)
    for name, function in of_type(after, "AWS::Lambda::Function").items():
        earlier = before["Resources"][name]["Properties"]
        assert function["Properties"] != earlier, f"Lambda publishes no version of {name}, whose settings are the same"
    aliases = of_type(after, "AWS::Lambda::Alias").values()
    assert {one["Properties"]["FunctionVersion"]["Fn::GetAtt"][0] for one in aliases} == set(new.values())


def test_no_old_version_is_kept() -> None:
    """Each would have a snapshot that is paid for."""
    assert {one["DeletionPolicy"] for one in of_type(transformed(), "AWS::Lambda::Version").values()} == {"Delete"}
