"""Images in memory: the same pictures in every form are the same images, and what could be read wrong is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset

from snellen.base import ImageError
from snellen.images import open_images

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3)).astype(np.uint8)
LABELS = (0, 1, 2, 1, 0)


class Pairs(Dataset):
    """As torchvision's: (image, label), with names of the classes."""

    classes = ("ant", "bee", "cat")

    def __init__(self, make, labels=LABELS):
        self.make, self.labels = make, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.make(PIXELS[index]), self.labels[index]


class Images(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return Image.fromarray(PIXELS[index])


def to_float(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


FORMS = {
    "array, channels last": PIXELS,
    "array, channels first": np.moveaxis(PIXELS, 3, 1),
    "floats": PIXELS / 255,
    "tensor, channels first": torch.from_numpy(PIXELS).permute(0, 3, 1, 2),
    "tensor, channels last": torch.from_numpy(PIXELS),
    "tensor of floats": torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 255,
    "tensor that asks for gradients": (torch.from_numpy(PIXELS).float() / 255).requires_grad_(),
    "list of PIL": [Image.fromarray(p) for p in PIXELS],
    "list of tensors": [to_float(p) for p in PIXELS],
    "list of arrays": list(PIXELS),
    "data set of images": Images(),
    "pair of arrays": (PIXELS, np.array(LABELS)),
    "pair of tensors": [torch.from_numpy(PIXELS), torch.tensor(LABELS)],
    "data set of PIL": Pairs(Image.fromarray),
    "data set of tensors": Pairs(to_float),
    "data set of arrays": Pairs(np.asarray),
    "data set with tensors as labels": Pairs(to_float, tuple(torch.tensor(k) for k in LABELS)),
    "list of pairs": [(Image.fromarray(p), k) for p, k in zip(PIXELS, LABELS, strict=True)],
    "subset": Subset(Pairs(Image.fromarray), range(5)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_pictures_in_any_form_are_the_same_images(form):
    images = open_images(FORMS[form])
    assert len(images) == 5
    for i, pixels in enumerate(PIXELS):
        torch.testing.assert_close(images.load(i, (12, 16)), to_float(pixels))
    (chunk, batch), *_ = images.batches((12, 16), 5)
    assert chunk == list(range(5))
    assert batch.shape == (5, 3, 12, 16)
    labelled = "pair" in form or (form.startswith("data set of") and form != "data set of images") or "label" in form
    assert images.labels == (LABELS if labelled or form == "subset" else None)
    if form.startswith(("data set of PIL", "subset")):
        assert images.class_names == ("ant", "bee", "cat")
    elif labelled and "data set" not in form:
        assert images.class_names == ("0", "1", "2")


def test_content_identifies_the_images():
    digests = {
        name: open_images(form).digest()
        for name, form in FORMS.items()
        if name.startswith(("list of PIL", "data set of i"))
    }
    assert len(set(digests.values())) == 1
    other = PIXELS.copy()
    other[3, 2, 2, 0] ^= 1
    assert open_images(other).digest() != open_images(PIXELS).digest()
    assert open_images(PIXELS).digest() == open_images(PIXELS.copy()).digest()


def test_an_open_set_stays_as_it_is():
    images = open_images("builtin")
    assert open_images(images) is images


@pytest.mark.parametrize("pixels", [PIXELS[..., 0], PIXELS[..., :1], np.moveaxis(PIXELS[..., :1], 3, 1)])
def test_grey_pictures_are_grey_in_colour(pixels):
    loaded = open_images(pixels).load(2, (12, 16))
    grey = torch.from_numpy(PIXELS[2, ..., 0]).float() / 255
    torch.testing.assert_close(loaded, grey.expand(3, -1, -1))


def test_pictures_come_upright_and_on_white():
    clear = Image.new("RGBA", (6, 6), (255, 0, 0, 0))
    assert open_images([clear]).load(0, (6, 6)).min() == 1
    turned = Image.fromarray(PIXELS[0])
    turned.getexif()[0x0112] = 6  # to be turned a quarter
    assert open_images([turned]).source.picture(0, 0).size == (12, 16)


@pytest.mark.parametrize("labels", [[{"box": 1}] * 5, [-1, 0, 1, 2, 1], [None] * 5, [0.5] * 5, [np.zeros(3)] * 5])
def test_labels_that_are_no_classes_are_left_out(labels):
    assert open_images(Pairs(Image.fromarray, labels)).labels is None


def test_labels_in_words_are_classes():
    images = open_images(Pairs(Image.fromarray, ["b", "a", "b", "b", "c"]))
    assert (images.labels, images.class_names) == ((1, 0, 1, 1, 2), ("a", "b", "c"))


class Random(Dataset):
    def __init__(self):
        self.stream = np.random.default_rng(0)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.stream.integers(0, 256, (8, 9, 3)).astype(np.uint8)


class Endless(IterableDataset):
    def __iter__(self):
        yield PIXELS[0]


NORMALIZED = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 64 - 2


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (NORMALIZED, "floats from -2 to 1.98; give RGB in [0, 1], not normalized"),
        (PIXELS.astype(np.float32), "floats from 0 to 255"),
        (np.full((2, 8, 8, 3), np.nan), "floats from nan to nan"),
        (PIXELS.astype(np.int64), "int64; give uint8"),
        (PIXELS > 9, "bool; give uint8"),
        (PIXELS[0], "which may be one image or several"),
        (np.zeros((5, 3, 9, 3), np.uint8), "may come first or last"),
        (np.zeros((5, 4, 9, 9), np.uint8), "without an axis of 1 or 3 channels"),
        (np.zeros((0, 3, 9, 9), np.uint8), "(0, 3, 9, 9)"),
        (np.zeros(9, np.uint8), "(9,)"),
        ((PIXELS, np.arange(4)), "expected labels as 5 integers"),
        ((PIXELS, np.arange(5) - 1), "expected labels as 5 integers"),
        ([], "empty list"),
        (["a.png"], "number 0: str"),
        ([Image.new("I;16", (4, 4))], "more than 8 bits"),
        ({"train": PIXELS, "test": PIXELS}, 'as in images["test"]'),
        (Endless(), "can be indexed"),
        (3, "got int"),
        (Pairs(lambda p: {}["x"]), "image 0, got KeyError: 'x'"),
        (Random(), "random augmentation"),
        (Pairs(lambda p: NORMALIZED[0]), "number 0: floats from -2"),
    ],
)
def test_what_could_be_read_wrong_is_one_line(images, told):
    with pytest.raises(ImageError, match="expected") as caught:
        open_images(images)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


class Feature:
    def __init__(self, kind, names=()):
        self.__class__ = type(kind, (Feature,), {})
        self.names = list(names)


class HuggingFace:
    """Stands for `datasets.Dataset`: rows as dictionaries, columns as lists."""

    def __init__(self, labels=True):
        self.features = {"id": Feature("Value"), "img": Feature("Image")}
        self.features |= {"label": Feature("ClassLabel", ["ant", "bee", "cat"])} if labels else {}
        self.column_names = list(self.features)

    def __len__(self):
        return 5

    def __getitem__(self, key):
        if isinstance(key, str):
            return list(LABELS)
        return {"id": key, "img": Image.fromarray(PIXELS[key]), "label": LABELS[key]}


def test_a_data_set_of_hugging_face_is_read_by_its_columns():
    images = open_images(HuggingFace())
    assert (images.labels, images.class_names) == (LABELS, ("ant", "bee", "cat"))
    torch.testing.assert_close(images.load(4, (12, 16)), to_float(PIXELS[4]))
    assert open_images(HuggingFace(labels=False)).labels is None
    streamed = SimpleNamespace(features=HuggingFace().features, column_names=["img"], __iter__=lambda: iter(()))
    with pytest.raises(ImageError, match="can be indexed"):
        open_images(streamed)
    without = HuggingFace()
    without.features["img"] = Feature("Value")
    with pytest.raises(ImageError, match=r"a column of images .* got id \(Value\), img \(Value\)"):
        open_images(without)


def test_a_real_data_set_of_hugging_face_is_read():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(names=["ant", "bee", "cat"]))
    rows = {"img": [Image.fromarray(p) for p in PIXELS], "label": list(LABELS)}
    images = open_images(datasets.Dataset.from_dict(rows, features=features))
    assert (images.labels, images.class_names) == (LABELS, ("ant", "bee", "cat"))
    torch.testing.assert_close(images.load(4, (12, 16)), to_float(PIXELS[4]))


@given(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(4, 9), st.integers(4, 9))
def test_channels_first_and_last_are_told_apart(n, c, h, w):
    pixels = np.arange(n * c * h * w, dtype=np.uint8).reshape(n, c, h, w)
    first, last = open_images(pixels), open_images(np.moveaxis(pixels, 1, 3))
    for i in range(n):
        assert torch.equal(first.load(i, (h, w)), last.load(i, (h, w)))


def test_all_pixels_are_those_of_each_image():
    images = open_images(PIXELS)
    for some in ([4, 0, 2], [3], []):
        held = images.subset(some).pixels((6, 8))
        assert held.shape == (len(some), 3, 6, 8)
        for image, index in zip(held, some, strict=True):
            assert torch.equal(image, images.load(index, (6, 8)))
