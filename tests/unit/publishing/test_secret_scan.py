from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.publishing.model_files import find_secrets

SECRETS = {
    "a Hugging Face token": "hf_" + "aB3" * 11 + "x",
    "a GitHub token": "github_pat_" + "a1B2" * 8,
    "a GitLab token": "glpat-" + "abcDEF1234" * 2,
    "an AWS access key": "AKIA" + "ABCD2345" * 2,
    "an AWS secret key": "aws_secret_access_key = " + "aB3/+" * 8,
    "a Google API key": "AIza" + "abcde-_" * 5,
    "a Slack token": "xoxb-" + "123456789012-abc",
    "an OpenAI key": "sk-proj-" + "abcd1234" * 5,
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "a user and password in a URL": "https://user:pass@example.org/x",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_is_found_with_its_line(kind: str) -> None:
    text = f"first\nsecond: {SECRETS[kind]}\nthird"
    found = list(find_secrets("config.json", text))
    assert [(one.file, one.line, one.kind) for one in found] == [("config.json", 2, kind)]
    assert SECRETS[kind] not in str(found[0])


def test_every_pattern_has_an_example() -> None:
    from gluetune.publishing.model_files import _KINDS

    assert [kind for kind, _ in _KINDS] == list(SECRETS)


@given(
    st.text(min_size=1).filter(
        lambda text: not set(text) & set("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
    )
)
def test_a_known_secret_is_found_whatever_it_looks_like(secret: str) -> None:
    found = list(find_secrets("f", f"a\n<{secret}>", [secret]))
    assert found[-1].line == 2
    assert found[-1].kind == "the token of this machine"


@pytest.mark.parametrize(
    "text",
    [
        '{"id2label": {"0": "hf_score", "1": "AKIA"}}',
        "https://huggingface.co/me/model and user@example.org, time 12:30:45",
        "sha256 " + "0123456789abcdef" * 4,
        "git commit 9f6f75e2ace9178e8de86cf60bd987e56038e92c",
        '"sk-learn": 1, "ask-me-anything": 2',
        "",
    ],
)
def test_what_is_no_secret_is_none(text: str) -> None:
    assert list(find_secrets("f", text)) == []
