"""Rows of rollouts.jsonl.gz made up, and written where a cell has them."""

from gxpo.cells import ROLLOUTS, append_rollouts, rollout_row


def kept_row(step, prompt="1 + 1 ?", texts=("it is 2", "it is 3"), answer="2"):
    """Of the completions, the first alone is right, and the last is cut off."""
    completions = [
        {
            "text": text,
            "reward": float(i == 0),
            "rewards": {"correct": float(i == 0)},
            "tokens": len(text.split()),
            "ended": i < len(texts) - 1,
        }
        for i, text in enumerate(texts)
    ]
    return rollout_row(step, prompt, answer, completions)


def write_rollouts(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        append_rollouts(folder / ROLLOUTS, [row])
