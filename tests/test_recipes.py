"Every recipe, and learning rates by layer, on the networks they are for at their published sizes; on the meta device, so nothing is computed."
import re
import pytest
import torch
from vidnb.core.testing import expect_error, test_same
from vidnb.learn.optimizers import SchemeOptimizer, checked_groups, groups_table, layer_groups, layer_numbers
from vidnb.learn.schedules import RECIPES, lr_curve
from vidnb.models.recognizers import find_arch, recognizer_split

def made(arch):
    with torch.device('meta'): return find_arch(arch)(400)

def multipliers(groups, model):
    name = {id(p):n for n,p in model.named_parameters()}
    return {name[id(p)]:(g['lr_mult'], g['decay_mult']) for g in groups for p in g['params']}

networks = dict(tsn='tsn_r50', tsm='tsm_r50', tin='tin_r50', tanet='tanet_r50', i3d='i3d_r50', slowonly='slowonly_r50', slowfast='slowfast_r50',
                r2plus1d='r2plus1d_r34', csn='csn_r50', timesformer='timesformer_b', swin='video_swin_t', mvit='mvitv2_s')

def test_every_recipe_has_a_network(): assert networks.keys() == RECIPES.keys()

@pytest.mark.parametrize('name', networks)
def test_recipe_fits_its_network(name):
    r, model = RECIPES[name], made(networks[name])
    groups = checked_groups(r.scheme(model), model)
    opt = SchemeOptimizer(recognizer_split(model), groups, r.opt, lr=r.lr, weight_decay=r.wd, **r.opt_kw)
    assert sum(len(d) for d in opt.param_lists) == len(list(model.parameters())), 'all depths together are the network'
    have = {id(p):(g['lr'], g['weight_decay']) for g in opt.opt.param_groups for p in g['params']}
    want = multipliers(groups, model)
    for n,p in model.named_parameters(): test_same(have[id(p)], (r.lr*want[n][0], r.wd*want[n][1]), eps=1e-12)
    lrs = lr_curve(r.schedule, r.lr, 4, r.epochs)
    assert lrs.min() > 0 and .95*r.lr < lrs.max() <= r.lr and lrs[-1] < .6*r.lr

def test_kinds():
    "What each scheme does to parameters that it is about"
    model = made('video_swin_t')
    mult = multipliers(RECIPES['swin'].scheme(model), model)
    tables = [v for n,v in mult.items() if n.endswith('relative_position_bias_table')]
    assert len(tables) == 12 and set(tables) == {(.1, 0.)}
    test_same(mult['cls_head.fc_cls.weight'], (1., 1.))
    model = made('mvitv2_s')
    mult = multipliers(RECIPES['mvit'].scheme(model), model)
    assert all(d == 0. for n,(_,d) in mult.items() if n.endswith('.bias') or re.search(r'norm\d?\.weight$', n))
    assert {n for n,p in model.named_parameters() if p.dim() < 2 and mult[n][1]} == {'backbone.pos_encoding.class_token'}, 'by the rules of the constructor it is no bias'
    assert all(mult[n][1] for n,p in model.named_parameters() if p.dim() > 1)
    model = made('timesformer_b')
    mult = multipliers(RECIPES['timesformer'].scheme(model), model)
    assert sorted(n for n,(_,d) in mult.items() if d == 0) == ['backbone.cls_token', 'backbone.pos_embed', 'backbone.time_embed']

blocks = dict(videomae_b=12, timesformer_b=12, video_swin_t=12, mvitv2_s=16, tsm_r50=16, slowfast_r50=16, csn_r50=16, slowonly_r50=16)

@pytest.mark.parametrize('arch', blocks)
def test_layers(arch):
    model, L = made(arch), blocks[arch]
    number = layer_numbers(model)
    names = list(number)
    assert set(number.values()) == set(range(L+2)) and [n for n in names if n.startswith('cls_head.')] == [n for n in names if number[n] == L+1 and 'cls_head' in n]
    mult = multipliers(checked_groups(layer_groups(model, .75), model), model)
    for (n,p) in model.named_parameters(): test_same(mult[n][0], .75**(L+1-number[n]), eps=1e-12)
    assert all(mult[n][1] == 0 for n,p in model.named_parameters() if p.dim() < 2)
    SchemeOptimizer(recognizer_split(model), layer_groups(model))

def test_stem_and_last_norm():
    number = layer_numbers(made('videomae_b'))
    assert [number[f'backbone.{n}'] for n in ('patch_embed.projection.weight', 'blocks.0.attn.q_bias', 'blocks.11.mlp.layers.1.bias', 'fc_norm.weight')] == [0, 1, 12, 13]
    number = layer_numbers(made('slowfast_r50'))
    assert [number[f'backbone.{n}'] for n in ('slow_path.conv1.conv.weight', 'fast_path.conv1.conv.weight', 'slow_path.layer1.0.conv1.conv.weight', 'fast_path.layer1.0.conv1.conv.weight')] == [0, 0, 1, 1]
    assert {v for n,v in number.items() if 'layer4.2.' in n} == {16}

def test_without_blocks():
    with expect_error(ValueError, 'has no numbered blocks'): layer_numbers(made('c3d'))

def test_table():
    t = groups_table(layer_groups(made('videomae_b'), .75), lr=1e-3, wd=.05)
    assert t.numbers.sum() == sum(p.numel() for p in made('videomae_b').parameters()) and len(t) == 28
