"""The transformers sampler: the policy's own distribution, whatever the batch."""

import random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gxpo.evaluation.sampler.base import Draw, stream_seed
from gxpo.evaluation.sampler.hf import TransformersSampler, _draw, batches
from gxpo.policy import stop_tokens
from gxpo.policy.loading import load_model, load_tokenizer
from gxpo.problems.synthetic import synthetic_problems


@pytest.fixture(scope="module")
def parts(tiny_policy):
    tokenizer = load_tokenizer(str(tiny_policy))
    model = load_model(str(tiny_policy)).eval()
    return model, tokenizer, set(stop_tokens(str(tiny_policy), None, tokenizer, chat=False))


def sampler(parts, batch_size):
    model, tokenizer, stop = parts
    return TransformersSampler(model, tokenizer, False, stop, batch_size)


def draws(tokenizer, count):
    """Prompts of different lengths, as nothing in the synthetic problems makes them."""
    rng = random.Random(0)
    texts = [p.problem + " Ann has" * rng.randint(0, 9) for p in synthetic_problems("test", count)]
    return [Draw(ids, stream_seed(0, i, 0)) for i, ids in enumerate(tokenizer(texts).input_ids)]


@torch.no_grad()
def alone(model, stop, draw, limit):
    """The same completion with neither batch, padding nor cache."""
    stream = torch.Generator().manual_seed(draw.seed)
    completion = []
    while len(completion) < limit:
        logits = model(torch.tensor([draw.prompt + completion])).logits[:, -1]
        completion.append(_draw(logits, [stream]).item())
        if completion[-1] in stop:
            break
    return completion


def test_a_completion_is_a_function_of_prompt_and_seed_alone(parts):
    model, tokenizer, stop = parts
    requests = draws(tokenizer, 40)
    expected = [alone(model, stop, draw, 24) for draw in requests]
    assert len({len(completion) for completion in expected}) > 3
    for batch_size in (64, 7):
        assert sampler(parts, batch_size)._sample(requests, 24) == expected


def test_tokens_are_drawn_from_the_policys_distribution():
    """100,000 draws against softmax: chi-square, 9 degrees of freedom, 27.9 at p = 0.001."""
    logits = torch.linspace(-2, 2, 10)
    stream = torch.Generator().manual_seed(1)
    n = 100_000
    tokens = _draw(logits.expand(n, -1), [stream] * n)[:, 0]
    counts, wanted = tokens.bincount(minlength=10), n * logits.softmax(0)
    assert ((counts - wanted) ** 2 / wanted).sum() < 27.9


def test_what_the_model_recommends_for_sampling_is_ignored(parts):
    model, tokenizer, _ = parts
    requests = draws(tokenizer, 10)
    before = sampler(parts, 10)._sample(requests, 16)
    model.generation_config.update(temperature=0.1, top_k=1, repetition_penalty=1.5)
    assert sampler(parts, 10)._sample(requests, 16) == before


@given(st.lists(st.integers(1, 3000), max_size=60), st.integers(1, 16))
def test_batches_hold_every_draw_once_and_are_hardly_padded(lengths, size):
    made = batches(lengths, size)
    assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
    for batch in made:
        inside = [lengths[i] for i in batch]
        assert len(batch) <= size
        assert sum(inside) >= 0.85 * max(inside) * len(inside) - 1e-6
    starts = [max(lengths[i] for i in batch) for batch in made]
    assert starts == sorted(starts, reverse=True)


def test_equal_prompts_fill_their_batches():
    assert [len(batch) for batch in batches([7] * 10, 4)] == [4, 4, 2]


def test_padding_waste_stays_under_15_percent(parts):
    tokenizer = parts[1]
    lm = sampler(parts, 16)
    lm._sample(draws(tokenizer, 128), 24)
    figures = lm.figures
    assert 0 < figures.prompt_padding <= 0.15 * figures.prompt_positions
    assert 0 < figures.decode_padding <= 0.15 * figures.decode_positions


def test_seeds_belong_to_problem_and_sample(parts):
    """lm-eval hands over the request of a problem once per sample."""
    texts = ["Ann has 4 eggs , gets 5 , gives 3 ?", "Bob has 4 eggs , gets 5 , gives 3 ?"]
    both, second = sampler(parts, 8), sampler(parts, 8)
    for lm in (both, second):
        lm.start(3)
    requests = [
        SimpleNamespace(args=(texts[i], {"max_gen_toks": 16}), doc_id=i) for i in (0, 0, 0, 1, 1, 1)
    ]
    assert both.generate_until(requests)[3:] == second.generate_until(requests[3:])
    second.start(4)
    assert both.generate_until(requests)[3:] != second.generate_until(requests[3:])
