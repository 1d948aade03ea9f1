import pytest

from lab import logs


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("authorization: Bearer abcdefgh12345", "authorization: Bearer ***"),
        ("token=eyJhbGciOi.eyJzdWIi.c2ln, next", "token=***, next"),
        ("the bearer of news", "the bearer of news"),
    ],
)
def test_tokens_are_struck_out(said, kept):
    assert logs.strike_tokens(said) == kept
