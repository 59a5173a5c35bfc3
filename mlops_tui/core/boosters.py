"""LightGBM's text format, checked before LightGBM reads it: its own reader trusts every number that it finds.

An index that points outside an array, or a tree that is none, makes LightGBM end the process or never answer. So
a model from elsewhere is read here first, strictly: what LightGBM does not write itself is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from mlops_tui.core.fitting import OBJECTIVES
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Signature, Transform

MOST_LEAVES = 131_072  # LightGBM's own limit
MOST_DEPTH = 1_000  # contributions take memory with the depth squared, and a call of the stack for each level
INT = r"-?\d{1,10}"
NUMBER = r"-?(?:\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?|inf)"
INTS = re.compile(f"(?:{INT}(?: {INT})*)?")
NUMBERS = re.compile(f"(?:{NUMBER}(?: {NUMBER})*)?")
OBJECTIVE = re.compile(rf"([a-z][a-z0-9_]*)((?: [a-z_]+:{NUMBER})*)")
INFO = re.compile(rf"none|\[{NUMBER}:{NUMBER}\]|{INT}(?::{INT})*")
TAIL = re.compile(
    r"end of trees\n\nfeature_importances:\n(?:[^\n=]{1,200}=\d{1,20}\n)*"
    r"\nparameters:\n(?:\[[a-z0-9_]{1,60}: [^\n\[\]]{0,100000}\]\n)*\nend of parameters\n\npandas_categorical:null\n"
)
HEADER = {
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
    "feature_names", "feature_infos", "tree_sizes",
}  # fmt: skip
HEADER_MAY = {"average_output", "monotone_constraints"}
INNER_INTS = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
INNER_NUMBERS = ("split_gain", "threshold", "internal_value", "internal_weight")
TREE = {"num_leaves", "num_cat", *INNER_INTS, *INNER_NUMBERS, "leaf_value", "leaf_weight", "leaf_count", "is_linear",
        "shrinkage"}  # fmt: skip
CATEGORICAL = {"cat_boundaries", "cat_threshold"}


def check(text: str, transform: Transform, signature: Signature) -> None:
    """Raise InvalidInput unless a text is a whole LightGBM model of this transform and signature.

    Every index lies in its array, and every tree is one: each node and leaf is reached once from its root.
    """
    try:
        _check(text, len(transform.features), signature)
    except ValueError as error:
        raise InvalidInput(f"this is not a LightGBM model: {error}") from None


def _check(text: str, features: int, signature: Signature) -> None:
    _must(text.isascii(), "it is not ASCII")  # so that sizes in bytes are sizes in characters
    head, _, rest = text.partition("\n\n")
    _must(head.startswith("tree\n"), "its first line is not 'tree'")
    header = _pairs(head[5:].split("\n"), "header")
    _must(header.keys() >= HEADER and header.keys() <= HEADER | HEADER_MAY, "header: keys are missing or unknown")
    classes = len(signature.classes) if signature.task == "multiclass" else 1
    _check_header(header, features, classes)
    _check_objective(header["objective"], signature, classes)
    sizes = _ints(header["tree_sizes"], "tree_sizes")
    _must(len(sizes) > 0 and len(sizes) % classes == 0, f"{len(sizes)} trees for {classes} classes")
    start = 0
    for number, size in enumerate(sizes):
        _must(0 < size <= len(rest) - start, f"tree {number}: its size {size} is not that of its text")
        try:
            _check_tree(rest[start : start + size], number, features)
        except ValueError as error:
            raise ValueError(f"tree {number}: {error}") from None
        start += size
    _must(TAIL.fullmatch(rest, start) is not None, "what follows the trees is not what LightGBM writes")


def _check_header(header: dict[str, str], features: int, classes: int) -> None:
    _must(re.fullmatch(r"v\d{1,3}", header["version"]) is not None, "header: no version")
    for key, wanted in (("num_class", classes), ("num_tree_per_iteration", classes), ("max_feature_idx", features - 1)):
        _must(header[key] == str(wanted), f"header: {key} is {header[key][:40]!r}, the record asks for {wanted}")
    _must(header["label_index"] == "0", "header: label_index is not 0")
    names, infos = header["feature_names"].split(" "), header["feature_infos"].split(" ")
    _must(all(names) and len(set(names)) == len(names) == features, f"header: not {features} feature names")
    _must(len(infos) == features and all(map(INFO.fullmatch, infos)), f"header: not {features} feature infos")
    if "monotone_constraints" in header:
        ways = _ints(header["monotone_constraints"], "monotone_constraints")
        _must(len(ways) == features and set(ways) <= {-1, 0, 1}, "header: monotone_constraints")


def _check_objective(text: str, signature: Signature, classes: int) -> None:
    match = OBJECTIVE.fullmatch(text)
    _must(match is not None and match[1] in OBJECTIVES[signature.task], f"{text[:40]!r} is no {signature.task} model")
    settings = dict(word.split(":") for word in text.split(" ")[1:])
    _must(settings.get("num_class", str(classes)) == str(classes), "objective: another number of classes")


def _check_tree(text: str, number: int, features: int) -> None:
    _must(text.startswith(f"Tree={number}\n") and text.endswith("\n\n\n"), "its size is not that of its text")
    tree = _pairs(text[:-3].split("\n")[1:], "tree")
    leaves, splits = _int(tree, "num_leaves"), _int(tree, "num_cat")
    _must(1 <= leaves <= MOST_LEAVES, f"{leaves} leaves")
    _must(tree.keys() == (TREE | CATEGORICAL if splits else TREE), "keys are missing or unknown")
    _must(tree["is_linear"] == "0", "linear trees are not supported")
    _numbers(tree["shrinkage"], "shrinkage", 1, finite=True)
    inner = {key: _ints(tree[key], key, leaves - 1) for key in INNER_INTS}
    floats = {key: _numbers(tree[key], key, leaves - 1, finite=False) for key in INNER_NUMBERS}
    _numbers(tree["leaf_value"], "leaf_value", leaves, finite=True)
    _numbers(tree["leaf_weight"], "leaf_weight", leaves if tree["leaf_weight"] or leaves > 1 else 0, finite=False)
    counts = _ints(tree["leaf_count"], "leaf_count", leaves if tree["leaf_count"] or leaves > 1 else 0)
    _must(all(0 <= one < 2**31 for one in (*counts, *inner["internal_count"])), "a count is out of range")
    _must(all(0 <= one < features for one in inner["split_feature"]), "split_feature: a feature that is not there")
    _must(all(0 <= one < 16 and one >> 2 != 3 for one in inner["decision_type"]), "decision_type: unknown")
    categories = [at for at, kind in zip(floats["threshold"], inner["decision_type"], strict=True) if kind & 1]
    _check_categories(tree, splits, categories)
    _check_shape(inner["left_child"], inner["right_child"], leaves)


def _check_categories(tree: dict[str, str], splits: int, thresholds: list[float]) -> None:
    """The threshold of a categorical split is the number of its set of categories."""
    _must(splits >= 0, "num_cat is negative")
    _must(all(0 <= one < splits and one == int(one) for one in thresholds), "threshold: a set that is not there")
    if splits:
        bounds, words = _ints(tree["cat_boundaries"], "cat_boundaries"), _ints(tree["cat_threshold"], "cat_threshold")
        rising = all(low < high for low, high in pairwise(bounds))
        _must(len(bounds) == splits + 1 and rising and bounds[0] == 0, "cat_boundaries do not rise from 0")
        _must(bounds[-1] == len(words), "cat_boundaries: not the length of cat_threshold")
        _must(all(0 <= one < 2**32 for one in words), "cat_threshold: not of 32 bits")


def _check_shape(left: list[int], right: list[int], leaves: int) -> None:
    """Children are inner nodes from 1 or leaves from -1 down; all are reached once from the root, which is node 0."""
    wanted = {*range(1, leaves - 1), *range(-leaves, 0)}
    if leaves > 1:
        children = Counter(left + right)
        _must(children.keys() == wanted and max(children.values()) == 1, "the nodes do not form a tree")
    level, seen, depth = [0] if leaves > 1 else [], 0, 0
    while level:
        depth, seen = depth + 1, seen + len(level)
        level = [child for node in level for child in (left[node], right[node]) if child >= 0]
        _must(depth <= MOST_DEPTH, f"it is deeper than {MOST_DEPTH} levels")
    _must(seen == max(leaves - 1, 0), "the nodes do not form one tree")


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _pairs(lines: list[str], where: str) -> dict[str, str]:
    """The lines of a section by key; `average_output` alone stands without a value."""
    pairs = [line.partition("=") for line in lines]
    _must(all(mark or key == "average_output" for key, mark, _ in pairs), f"{where}: a line without '='")
    found = {key: value for key, _, value in pairs}
    _must(len(found) == len(pairs), f"{where}: a key twice")
    return found


def _int(tree: dict[str, str], key: str) -> int:
    found = _ints(tree.get(key, ""), key)
    _must(len(found) == 1, f"{key} is not one number")
    return found[0]


def _ints(text: str, key: str, length: int | None = None) -> list[int]:
    _must(INTS.fullmatch(text) is not None, f"{key} is not whole numbers")
    found = [int(word) for word in text.split()]
    _must(length is None or len(found) == length, f"{key} has {len(found)} values, not {length}")
    return found


def _numbers(text: str, key: str, length: int, *, finite: bool) -> list[float]:
    _must(NUMBERS.fullmatch(text) is not None, f"{key} is not numbers")
    found = [float(word) for word in text.split()]
    _must(len(found) == length, f"{key} has {len(found)} values, not {length}")
    _must(not finite or all(abs(one) < float("inf") for one in found), f"{key} is not finite")
    return found
