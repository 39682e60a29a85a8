"Gradients averaged by two real processes: known numbers, buckets, kinds of numbers, and parameters that have none."
import datetime
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from vidnb.core.testing import test_same
from vidnb.learn.optimizers import TSMOptimizerConstructor, allreduce_grads

world = 2

def params(rank):
    "Parameters of several shapes and dtypes with gradients known from `rank`, one of them transposed; one without, one that does not learn"
    sizes = [(3,), (2, 5), (), (7, 1, 2)]
    ps = [torch.nn.Parameter(torch.zeros(s, dtype=d)) for d in (torch.float32, torch.float16, torch.float64) for s in sizes]
    for i,p in enumerate(ps): p.grad = torch.full_like(p, (rank+1)*(i+1)) + torch.arange(p.numel()).reshape(p.shape).to(p.dtype)
    ps[1].grad = ps[1].grad.t().contiguous().t()
    none, still = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2), requires_grad=False)
    still.grad = torch.full((2,), float(rank))
    return ps, none, still

def mean_of(i, p): return torch.full_like(p, 1.5*(i+1)) + torch.arange(p.numel()).reshape(p.shape).to(p.dtype)

def averages(rank, sent):
    for kw in (dict(), dict(coalesce=False), dict(bucket_size_mb=1), dict(bucket_size_mb=64/2**20)):
        ps, none, still = params(rank)
        grads = [p.grad for p in ps]
        sent.clear()
        assert allreduce_grads(iter([*ps, none, still]), **kw) is None
        for i,(p,g) in enumerate(zip(ps, grads)):
            assert p.grad is g, 'the tensor that the optimiser knows is filled, not replaced'
            test_same(p.grad, mean_of(i, p).detach())
        assert none.grad is None and still.grad.tolist() == [rank]*2
        n = 12 if kw.get('coalesce') is False else 3 if kw.get('bucket_size_mb', 1) == 1 else 7
        assert len(sent) == n, f'{kw}: {len(sent)} messages'

def keeps_range(rank, sent):
    w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float16))
    w.grad = torch.full_like(w, 60000.)
    allreduce_grads([w])
    test_same(w.grad, torch.full((2,), 60000., dtype=torch.float16))

def trains(rank, sent):
    "Two processes with halves of a batch end where one with the whole of it ends"
    def net():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.GroupNorm(2, 4), torch.nn.Flatten(), torch.nn.Linear(24, 3))
    make = TSMOptimizerConstructor(dict(type='SGD', lr=.05, momentum=.9, weight_decay=1e-3), dict(fc_lr5=True))
    x, y = torch.randn(8, 2, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3
    def run(x, y, reduce):
        m = net()
        opt = make(m)
        for _ in range(4):
            torch.nn.functional.cross_entropy(m(x), y).backward()
            if reduce: allreduce_grads(m.parameters(), bucket_size_mb=1e-4)
            opt.step(); opt.zero_grad()
        return torch.cat([p.detach().flatten() for p in m.parameters()])
    whole = run(x, y, False)
    test_same(run(x[rank::2], y[rank::2], True), whole, eps=1e-6)
    assert (run(x[rank::2], y[rank::2], False) - whole).abs().max() > 1e-3

def child(rank, store):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', store=dist.FileStore(store, world), rank=rank, world_size=world, timeout=datetime.timedelta(seconds=300))
    sent, send = [], dist.all_reduce
    def counted(t, *a, **k):
        sent.append(t.numel())
        return send(t, *a, **k)
    dist.all_reduce = counted
    try:
        for check in (averages, keeps_range, trains): check(rank, sent)
    finally: dist.destroy_process_group()

def test_two_processes(tmp_path): mp.start_processes(child, (str(tmp_path/'store'),), nprocs=world, start_method='fork')

def test_alone_nothing_happens():
    ps, none, still = params(0)
    want = [p.grad.clone() for p in ps]
    allreduce_grads([*ps, none, still])
    test_same([p.grad for p in ps], want)
