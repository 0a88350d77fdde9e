"""Made-up clicks, small enough to train on in a test."""

import numpy as np

from experiments.data.clicks import FIELDS, Clicks

N_USERS, N_ITEMS = 60, 40


def some_clicks():
    """Users of two kinds, each of which clicks on one of two kinds of items."""
    random = np.random.default_rng(0)
    sizes = {"user": N_USERS, "gender": 2, "age": 3, "occupation": 3, "zip": 9}
    sizes |= {"item": N_ITEMS, "year": 4, "genres": 3}
    values = {name: ("", *map(str, range(size))) for name, size in sizes.items()}
    tables = [
        np.stack([random.integers(1, sizes[name] + 1, count + 1) for name in names], 1)
        for names, count in (
            (FIELDS[:5], N_USERS),
            (FIELDS[5:], N_ITEMS),
            ((*["genres"] * 2,), N_ITEMS),
        )
    ]
    users, items, genres = (table.astype(np.int32) for table in tables)
    users[:, 0], items[:, 0] = np.arange(N_USERS + 1), np.arange(N_ITEMS + 1)
    pairs = np.array([(u, i) for u in range(1, N_USERS + 1) for i in range(1, N_ITEMS + 1)])
    noise = random.random(len(pairs)) < 0.1
    clicks = (users[pairs[:, 0], 1] == 1) == (items[pairs[:, 1], 1] <= 2)
    events = np.hstack([pairs, (clicks ^ noise)[:, None]]).astype(np.int32)
    return Clicks(values, users, items, genres, events)
