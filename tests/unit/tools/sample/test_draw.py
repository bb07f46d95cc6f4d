from hypothesis import given
from hypothesis import strategies as st
from tools.sample.draw import Draw


def test_a_seed_gives_the_same_choices_on_every_python() -> None:
    draw = Draw("gluetune")
    assert [draw.number(0, 99) for _ in range(8)] == [29, 10, 13, 78, 80, 83, 31, 82]


@given(seed=st.text(), low=st.integers(-50, 50), width=st.integers(0, 50))
def test_numbers_keep_their_bounds(seed: str, low: int, width: int) -> None:
    draw = Draw(seed)
    assert all(low <= draw.number(low, low + width) <= low + width for _ in range(20))


@given(seed=st.text(), size=st.integers(1, 12), data=st.data())
def test_distinct_choices_are_distinct(seed: str, size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, size))
    chosen = Draw(seed).distinct(range(size), count)
    assert len(set(chosen)) == len(chosen) == count
    assert set(chosen) <= set(range(size))


@given(seed=st.text())
def test_other_avoids_given_values(seed: str) -> None:
    assert Draw(seed).other("abc", "a", "c") == "b"
