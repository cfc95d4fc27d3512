"""From figures to warnings: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from mdsrec_pyg.inspection.findings import Findings
from mdsrec_pyg.inspection.thresholds import DataWarning, Thresholds
from mdsrec_pyg.showing import counted

__all__ = ["find_warnings"]

# No second of a real date has so many digits (year 5138), milliseconds and finer units have.
MILLISECONDS = 1e11


def find_warnings(inspection: Findings, thresholds: Thresholds | None = None) -> list[DataWarning]:
    """Compares the figures with the thresholds.

    Beside those that :class:`Thresholds` names: ``zero_rows``, ``extreme_rows`` and
    ``time_out_of_range`` warn from the first one on, ``weak_modality`` where
    the hit rate of aligned features is below that of popularity.

    Args:
        inspection: The figures.
        thresholds: From where on a figure is a warning. Default: :class:`Thresholds`'.

    Returns:
        Warnings: features first, then interactions.
    """
    limits = Thresholds() if thresholds is None else thresholds
    return [
        *_alignment(inspection, limits),
        *_coverage(inspection, limits),
        *_rows(inspection, limits),
        *_difference(inspection, limits),
        *_leaks(inspection, limits),
        *_order(inspection, limits),
        *_time_range(inspection),
        *_popularity(inspection, limits),
    ]


def _alignment(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    for name, found in inspection.alignment.items():
        rates = f"hit rate at {found.k} is {found.hit_rate:.4f}"
        queries = counted(found.num_queries, "query", "queries")
        shuffled = f"with shuffled rows {found.shuffled:.4f} ({queries})"
        few = found.num_queries < limits.few_queries
        if few or found.num_candidates < limits.small_catalog * found.k:
            yield DataWarning(
                "alignment_unclear",
                f"{name}: {queries} over {counted(found.num_candidates, 'item')}, too few to tell "
                "whether the features are aligned",
                f"Look at some items by hand: does row i of {name}.npy belong to the item whose "
                '"item" is i in the items file?',
            )
        elif found.hit_rate < limits.aligned_ratio * found.shuffled or not found.hit_rate:
            yield DataWarning(
                "not_aligned",
                f"{name}: {rates}, {shuffled}: the features do not say what is taken next",
                f'Check that row i of {name}.npy belongs to the item whose "item" is i in the '
                "items file (a table sorted or filtered after it was encoded is the usual cause) "
                "and encode again. If the order is right, leave the modality out: "
                "FolderDataset(root, modalities=[...])",
            )
        elif found.z < limits.aligned_z:
            yield DataWarning(
                "alignment_unclear",
                f"{name}: {rates}, {shuffled}: that may be chance",
                "Ask more users (inspect_dataset(max_queries=...)); if there are no more, look at "
                f"some items by hand: does row i of {name}.npy belong to the item whose "
                '"item" is i in the items file?',
            )
        elif found.hit_rate < found.popularity:
            yield DataWarning(
                "weak_modality",
                f"{name}: {rates}, popularity alone has {found.popularity:.4f}",
                "Aligned, but weak by itself. Train with and without it (FolderDataset(root, "
                "modalities=[...])) and compare on validation; another encoder may say more",
            )


def _coverage(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    for name, found in inspection.features.items():
        missing = 1 - found.share_interactions
        if missing > limits.missing:
            yield DataWarning(
                "missing_modality",
                f"{name}: {1 - found.share_items:.1%} of the items and the items of {missing:.1%} "
                "of the training interactions lack it",
                f"Encode the rest if there is a source; rows that stay missing must be False in "
                f"{name}_mask.npy. Nothing has to be filled in: behavior alone decides for items "
                "without the modality",
            )
        if found.num_zero:
            yield DataWarning(
                "zero_rows",
                f"{name}: {counted(found.num_zero, 'item')} with a row of zeros, though present",
                f"Set them to False in {name}_mask.npy (bool [N]), so that they count as missing: "
                "mask = np.load(...).any(axis=1)",
            )


def _rows(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    for name, found in inspection.features.items():
        if found.num_duplicates > limits.duplicates * found.num_present:
            yield DataWarning(
                "duplicated_rows",
                f"{name}: {counted(found.num_duplicates, 'item')} with exactly the row of an item "
                f"before; {found.largest_duplicate_size:,} share one, among them "
                f"{', '.join(found.largest_duplicate)}",
                'Look at these items. A placeholder ("no picture", an empty text) is no feature: '
                f"set its items to False in {name}_mask.npy. Variants of one product may stay, or "
                "be merged into one item before the ids are given",
            )
        number, zero = len(found.constant_columns), len(found.zero_columns)
        if number > zero or zero > limits.zero_columns * found.num_features:
            some = sorted(
                {*found.constant_columns} - {*found.zero_columns} or {*found.zero_columns}
            )
            yield DataWarning(
                "constant_columns",
                f"{name}: columns with one value in all rows: {number:,} of {found.num_features:,} "
                f"({zero:,} of zeros), among them column {some[0]}",
                f"Drop these columns from {name}.npy (x[:, x.std(axis=0) > 0]): they say nothing, "
                "and those that are not zero pull all cosines up. Many of them: is the output of "
                "the right layer of the encoder stored?",
            )
        if found.num_extreme:
            yield DataWarning(
                "extreme_rows",
                f"{name}: {counted(found.num_extreme, 'row')} more than 20 times as long as the "
                f"median row, the longest {found.max_length_ratio:,.0f} times",
                f"Encode these items again (overflow in half precision, another encoder?), or set "
                f"them to False in {name}_mask.npy: standardization and k-means follow them",
            )


def _difference(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    for found in inspection.differences:
        common = found.common_neighbors > max(limits.common_neighbors, 2 * found.random)
        if common or found.agreement > limits.agreement:
            yield DataWarning(
                "same_modalities",
                f"{found.first} and {found.second} say nearly the same: "
                f"{found.common_neighbors:.0%} common neighbors (random: {found.random:.0%}), "
                f"agreement of groups {found.agreement:.2f}",
                "Is one a copy of the other, or made from the same source? Train without one of "
                "them (FolderDataset(root, modalities=[...])): it costs a graph and an encoder and "
                "adds little",
            )


def _leaks(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    found = inspection.oddities
    if found.test_targets_unknown > limits.unknown_targets:
        yield DataWarning(
            "cold_targets",
            f"{found.test_targets_unknown:.1%} of the test targets have no training interaction "
            f"({counted(found.items_only_held_out, 'item')} in validation or test only)",
            "Models of IDs cannot find them, features can: report results by popularity "
            "(metrics_by_popularity), or drop rare items with dataset.k_core(5), as most published "
            "sets do",
        )
    split = inspection.split
    if split.users_not_asked > limits.users_not_asked * split.held_out_users:
        yield DataWarning(
            "users_without_history",
            f"users with held-out interactions that no query asks about: {split.users_not_asked:,} "
            f"of {split.held_out_users:,}, as nothing of theirs stands before these",
            "Say so with the results: they hold for users with a history only. Popularity is what "
            "a new user can be given; another split (split=...) may ask about more of them",
        )
    if found.share_identical_users > limits.identical_users:
        yield DataWarning(
            "identical_histories",
            f"{counted(found.identical_users, 'user')} ({found.share_identical_users:.1%}) with "
            f"exactly the items of another user, target included; "
            f"{found.largest_identical_size:,} share one history, among them "
            f"{', '.join(found.largest_identical)}",
            "Copies, shared accounts or robots give test targets away. Keep one of each in the "
            "interactions file, or drop them with dataset.filter(mask)",
        )


def _order(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    found = inspection.oddities
    if found.share_repeated_pairs > limits.repeated_pairs:
        yield DataWarning(
            "repeated_pairs",
            f"{counted(found.repeated_pairs, 'row')} ({found.share_repeated_pairs:.1%}) with an "
            "item that the user took before",
            "If these are copies of a row, FolderDataset(root, duplicates='drop') keeps the oldest "
            "one. If people do take items again, keep them, read the results with seen items kept, "
            "and recommend(..., exclude_seen=False)",
        )
    if found.consecutive_tied is not None and found.consecutive_tied > limits.baskets:
        yield DataWarning(
            "baskets",
            f"{found.consecutive_tied:.1%} of consecutive interactions share a timestamp: their "
            "order is that of the file",
            "Train with Trainer(model, shuffle_ties=True), so that no order is learned that is "
            "none; use finer timestamps if the source has them",
        )
    compare = ", and compare with temporal_split(interactions), which cuts between timestamps"
    if inspection.split.method.startswith("temporal"):
        compare = ""
    if found.test_targets_tied is not None and found.test_targets_tied > limits.tied_targets:
        yield DataWarning(
            "tied_targets",
            f"{found.test_targets_tied:.1%} of the test targets have the timestamp of the newest "
            "history item: which came next is not known",
            f"Say so with the results (Evaluation.tied){compare}",
        )


def _time_range(inspection: Findings) -> Iterator[DataWarning]:
    found = inspection.oddities
    if found.before_1990 is None or found.in_future is None or found.far_from_rest is None:
        return
    if not (found.before_1990 or found.in_future or found.far_from_rest):
        return
    advice = (
        "Look at the oldest and newest rows of the interactions file; correct or remove them: "
        "time order and temporal_split rest on them"
    )
    if (found.median_time or 0) > MILLISECONDS:
        advice = (
            "These look like milliseconds or finer: divide the timestamp column of the "
            "interactions file by 1000 (1,000,000 for microseconds); seconds are expected"
        )
    yield DataWarning(
        "time_out_of_range",
        f"timestamps: {counted(found.before_1990, 'row')} before 1990, "
        f"{found.in_future:,} in the future, {found.far_from_rest:,} far from all others",
        advice,
    )


def _popularity(inspection: Findings, limits: Thresholds) -> Iterator[DataWarning]:
    found = inspection.interactions
    rare = found.items_below_5 / found.num_items
    if rare > limits.rare_items:
        yield DataWarning(
            "rare_items",
            f"{rare:.1%} of the items have fewer than 5 interactions ({found.items_unused:,} none)",
            "Features have to carry these: keep the semantic fill of the item graphs "
            "(build_mdsrec(..., graph={'fill': 'semantic'}), as by default), try a stronger ridge "
            "(build_mdsrec(..., relations={'l2': 300})), and report by popularity "
            "(metrics_by_popularity); dataset.k_core(5) drops them, for comparison with published "
            "results",
        )
    if found.top_1_percent > limits.concentration:
        yield DataWarning(
            "concentrated",
            f"1 % of the items have {found.top_1_percent:.1%} of the interactions",
            "Put Popularity beside every result, and report by popularity (metrics_by_popularity)",
        )
