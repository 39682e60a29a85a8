"""TimeSformer and VideoMAE against the modules of Hugging Face's transformers: random weights, renamed, give the same scores."""
import pytest
import torch
from vidnb.core.testing import test_same
from vidnb.models.recognizers import Recognizer3D
from vidnb.models.timesformer import ATTENTION_TYPES, TimeSformer, TimeSformerHead, load_vit
transformers = pytest.importorskip('transformers')

size = dict(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_frames=4, num_labels=7)

def randomised(model):
    "Every parameter drawn anew, so that zeros and ones of an initialisation hide nothing"
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters(): p.copy_(torch.randn(p.shape, generator=g)*.2)
    return model.eval()

def logits(model, x): return model(x).logits

def mean_logits(model, x):
    "With space-only attention transformers gives a row of scores for each frame; the authors average the tokens over frames before the last norm"
    tokens = model(x, output_hidden_states=True).hidden_states[-1].unflatten(0, x.shape[:2]).mean(1)
    return model.classifier(model.timesformer.layernorm(tokens)[:,0])

def same_scores(ours, theirs, scores=logits, frames=4):
    x = torch.randn(2, 3, frames, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = scores(theirs, x.transpose(1, 2))
        assert want.std() > .05, 'scores that hardly differ prove nothing'
        test_same(ours.eval()(x), want, eps=1e-4*want.abs().max().item())

@pytest.mark.parametrize('attention_type', ATTENTION_TYPES)
def test_timesformer(attention_type):
    cfg = transformers.TimesformerConfig(**size, intermediate_size=128, attention_type=attention_type)
    theirs = randomised(transformers.TimesformerForVideoClassification(cfg))
    body = TimeSformer(4, 32, 8, embed_dims=32, num_heads=4, num_transformer_layers=2, attention_type=attention_type)
    assert load_vit(body, theirs.state_dict()) == ['classifier.weight', 'classifier.bias']
    head = TimeSformerHead(7, 32)
    head.fc_cls.load_state_dict(theirs.classifier.state_dict())
    same_scores(Recognizer3D(body, head), theirs, mean_logits if attention_type == 'space_only' else logits)
