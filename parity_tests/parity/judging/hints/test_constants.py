"""Factors are called by what they are in the run at hand."""

from __future__ import annotations

import math

import pytest

from parity.judging.hints.constants import Run, in_words, is_of_float32, words_of, words_of_an_offset

GPT, CLASSES = (4, 16, 65), (8, 10)


@pytest.mark.parametrize(
    ("factor", "run", "words"),
    [
        (2.0, Run(), "twice as large"),
        (0.5, Run(), "half as large"),
        (-1.0, Run(), "of the opposite sign"),
        (8.0, Run(CLASSES, loss=True), "8 times as large, as with the sum over the batch for its mean"),
        (1 / 8, Run(CLASSES, loss=True), "8 times smaller, as with the mean over the batch for its sum"),
        (8.0, Run(CLASSES), "8 times as large, as many as the batch has"),
        (64.0, Run(GPT, loss=True), "64 times as large, as with the sum over 4 x 16 for its mean"),
        (16.0, Run(GPT, loss=True), "16 times as large, as with the sum over axis 1 of the output for its mean"),
        (1 / 16, Run(GPT, loss=True), "16 times smaller, as with the mean over axis 1 of the output for its sum"),
        (
            4.0,
            Run((4, 16, 4), loss=True),
            "4 times as large, as with the sum over an axis of 4, of which there are 2, for its mean",
        ),
        (10.0, Run(CLASSES, loss=True), "10 times as large, as with the sum over axis 1 of the output for its mean"),
        (80.0, Run(CLASSES), "80 times as large, as many as the output has entries"),
        (1 / 10, Run(CLASSES), "10 times smaller, as many as the output has features"),
        (255.0, Run(), "255 times as large, as with pixels from 0 to 255 for those from 0 to 1"),
        (1 / 255, Run(), "255 times smaller, as with pixels from 0 to 1 for those from 0 to 255"),
        (1 / math.log(2), Run(), "1.4427 times as large, as with logarithms to base 2 for natural ones"),
        (math.log(2), Run(), "1.4427 times smaller, as with natural logarithms for those to base 2"),
        (1 / math.log(10), Run(), "2.30259 times smaller, as with logarithms to base 10 for natural ones"),
        (1 / 0.9, Run(), "1.11111 times as large, as kept numbers are by a dropout of 0.1"),
        (0.9, Run(), "1.11111 times smaller, as without the factor of a dropout of 0.1"),
        (8**0.5, Run(), "2.82843 times as large, the root of 8"),
        (8**-0.5, Run(), "2.82843 times smaller, the root of 8"),
    ],
)
def test_a_constant_of_the_run_has_its_name(factor: float, run: Run, words: str) -> None:
    assert words_of(factor, run) == words


@pytest.mark.parametrize(
    "factor", [1.0, 3.0, 2.00001, 8.0001, 1.01, -2.0, 4.0, 2000**0.5, 1e-300, 1e300, 5e-324, -1e-300, -5e-324]
)
def test_another_has_none(factor: float) -> None:
    assert words_of(factor, Run(CLASSES)) == ""


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (math.log(2 * math.pi) / 2, "log(2 pi) / 2, as in the log of a normal density"),
        (-5 * math.log(2 * math.pi) / 2, "5 times log(2 pi) / 2, as in the log of a normal density"),
        (0.92, ""),
        (0.0, ""),
        (1e300, ""),
        (65 * math.log(2 * math.pi) / 2, ""),
    ],
)
def test_the_constant_of_a_density_has_its_name(offset: float, words: str) -> None:
    assert words_of_an_offset(offset) == words


def test_dropout_is_not_named_where_it_cannot_be() -> None:
    assert words_of(0.9, Run(dropout=False)) == ""
    assert words_of(8.0, Run(CLASSES, dropout=False)) != ""


def test_a_factor_without_a_name_is_told_by_its_size() -> None:
    assert in_words(1.01) == "1.01 times as large"
    assert in_words(0.2) == "5 times smaller"
    assert in_words(1e-300) == "1e+300 times smaller"
    assert in_words(5e-324) == "4.94066e-324 times as large"
    assert in_words(1 + 3e-8) == "1 + 3e-08 times as large"
    assert in_words(1 - 3e-8) == "1 - 3e-08 times as large"


def test_what_may_come_of_float32_is_near_1_and_not_1() -> None:
    assert is_of_float32(1 + 1.6e-7)
    assert is_of_float32(1 - 9e-7)
    assert not any(map(is_of_float32, (1.0, 1 + 1e-6, 0.5, float("nan"))))
