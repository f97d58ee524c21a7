"""The tables of times, as they are printed."""

import statistics

from benchmarks.compare import best_ratio, geometric_mean, ratios

NAME, TIME, CELL = 34, 10, 18
BUSY = 0.2  # processors at work beside us that are worth a line


def header(machine):
    """One line about the machine."""
    return "{processor}, {cores} cores, {vectors}; {system}, Python {Python}; {date}".format(**machine)


class Timings:
    """Prints rows as they are measured: the base's milliseconds, then each library as a ratio to the base."""

    def __init__(self, table):
        self.table, libraries = table, table["libraries"]
        self.base = "torch" if "torch" in libraries else next(name for name in libraries if name != "floor")
        self.pairs = {name: (name, self.base) for name in libraries if name != self.base}
        if {"minidni", "floor"} <= set(libraries):
            self.pairs["minidni/floor"] = ("minidni", "floor")

    def title(self):
        """What is measured, on what, and the heads of the columns."""
        table, threads = self.table, self.table["threads"]
        head = f"{'':<{NAME}}{self.base + ' ms':>{TIME}}" + "".join(f"{name:>{CELL}}" for name in self.pairs)
        lines = [
            f"{table['what']}, {threads} thread{'s' * (threads > 1)}: {table['clock']} time of a training step, ratio "
            f"to {self.base}, median of the rounds (quartiles)",
            ", ".join(f"{name} {version}" for name, version in table["versions"].items())
            + (f"; NumPy's BLAS: {table['blas']}" if table["blas"] else ""),
        ]
        if (table["busy_processors"] or 0) > BUSY:
            lines.append(
                f"Other programs keep {table['busy_processors']:.1f} processors busy"
                + (": run this again when they do not, wall times are worth little beside them." * (threads > 1) or ".")
            )
        return "\n" + "\n".join([*lines, head, "-" * len(head)])

    def row(self, row):
        """One task: "median (quartile-quartile)" in each column."""
        cells = ""
        for name, base in self.pairs.values():
            low, middle, high = map(_short, ratios(row, name, base))
            cells += f" {f'{middle} ({low}-{high})':>{CELL - 1}}"
        shape = f"({', '.join(map(str, row['shape']))})"
        milliseconds = 1e3 * statistics.median(row["seconds"][self.base])
        return f"{(row['task'] + ' ' + shape).strip():<{NAME}}{milliseconds:>{TIME}.2f}{cells}"

    def geometric_means(self):
        """Over the rows, by column: of the medians, and of the best turns' ratios."""
        rows = self.table["rows"]
        return {
            "median": {
                head: geometric_mean([ratios(row, *pair)[1] for row in rows]) for head, pair in self.pairs.items()
            },
            "best": {
                head: geometric_mean([best_ratio(row, *pair) for row in rows]) for head, pair in self.pairs.items()
            },
        }

    def foot(self):
        """Geometric means, and what the floor is made of."""
        means, rows, lines = self.geometric_means(), self.table["rows"], []
        # With several threads a busy neighbour spoils whole turns: the best ones say what is possible.
        for kind in ("median", "best") if self.table["threads"] > 1 else ("median",):
            cells = "".join(f"{_short(mean) + ' ' * 12:>{CELL}}" for mean in means[kind].values())
            lines.append(f"{'geometric mean' + ', best turns' * (kind == 'best'):<{NAME + TIME}}{cells}".rstrip())
        if gemm := [rate / 1e9 for row in rows for rate in row["gemm_flops_per_second"]]:
            copy = [rate / 1e9 for row in rows for rate in row["copy_bytes_per_second"]]
            lines.append(
                f"floor: matrix products at {min(gemm):.0f} to {max(gemm):.0f} GFLOP/s, element-wise bytes at "
                f"{min(copy):.0f} to {max(copy):.0f} GB/s"
            )
        lines += [
            f"{row['task'] or row['cell']}: {100 * row['denormal']:.0f} % of the steps of dx hold denormal numbers, "
            f"{100 * row['zero']:.0f} % nothing but zeros"
            for row in rows
            if row["last_step"]
        ]
        return "\n".join(lines)


def _short(number):
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"
