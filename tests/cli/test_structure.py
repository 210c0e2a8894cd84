"""snellen structure: what it prints, that its networks are models, and bad input in one line."""

import re

import pytest


def test_a_trained_network_is_a_model_for_the_other_commands(snellen, tmp_path):
    done = snellen("structure", "train", "quadratic", "--steps", 3, "--size", 16, "--out", tmp_path / "net")
    assert done.code == 0, done.err
    assert done.out.strip() == f"network: structure:{tmp_path / 'net'}"
    told = snellen("layers", f"structure:{tmp_path / 'net'}")
    assert told.code == 0, told.err
    assert "QuadraticNetwork, input 16x16" in told.out
    deceived = snellen(
        "deceive",
        f"structure:{tmp_path / 'net'}",
        "--method",
        "lying-gradients",
        "--quick",
        "--out",
        tmp_path / "lying",
    )
    assert deceived.code in (0, 1), deceived.err
    assert snellen("layers", tmp_path / "lying").code == 0  # which names the network's folder, and no code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "marble"), "expected one of plain"),
        (("train", "cosin"), "cosine"),
        (("train", "plain", "--size", "20"), "multiple of 8"),
        (("train", "plain", "--images", "nowhere"), "nowhere"),
        (("train", "plain", "--images", "builtin:train", "--held", "nowhere"), "nowhere"),
        (("compare", "--structure", "marble"), "expected one of plain"),
        (("compare", "--structure", "plain", "--structure", "plain"), "different structures"),
        (("compare", "--viewer", "nobody"), "nobody"),
    ],
)
def test_bad_input_is_one_line(snellen, tmp_path, words, told):
    line = snellen("structure", *words, "--out", tmp_path / "out").line
    assert told in line
    assert not (tmp_path / "out" / "networks").exists()


def test_certify_says_how_many_pictures_guarantee_how_much(snellen, tmp_path):
    word = f"structure:{tmp_path / 'net'}"
    assert snellen("structure", "train", "quadratic", "--steps", 3, "--size", 16, "--out", tmp_path / "net").code == 0
    done = snellen("certify", word, "classifier:3", "--pictures", 200, "--most", 20)
    assert done.code == 0, done.err
    ladder = re.findall(r"^ +(\d+) pictures +([\d.]+)%  (\d+) of (\d+)$", done.out, re.MULTILINE)
    assert [count for count, *_ in ladder] == ["2", "32", "128", "200"]
    assert [float(width) for _, width, *_ in ladder] == sorted((float(one[1]) for one in ladder), reverse=True)
    assert all((held, asked) == ("20", "20") for *_, held, asked in ladder)
    assert "x'Qx + c of the image" in done.out
    assert done.out.count("true response inside the guaranteed interval: 20 of 20 images") == 1
    assert "from 200 pictures:" in done.out
    assert "Lipschitz" not in done.out
    assert "more pictures (--pictures K)" in snellen("certify", word, "classifier:3", "--pictures", 2, "--most", 20).out
    assert "expected 2 to 768 pictures" in snellen("certify", word, "classifier:3", "--pictures", 1000).line
    assert "leave out how many" in snellen("certify", word, "filters:3", "--pictures", 8).line
