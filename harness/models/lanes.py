"""Vectors of sixteen float32, or float64, as values that Numba can compute with.

LLVM turns most loops over arrays into vector instructions by itself, but first has to
prove, at each entry, that the arrays do not overlap, and leaves what is left over to slow
scalar code. In a loop over 48 numbers that is most of the time. These vectors are what
they say on every machine: of float32 one register with AVX-512, two with AVX, four with
SSE or NEON.

Several vectors, one after the other in memory, are a value, too: as many as a tuple is long,
which is known when a loop is compiled. Nothing then has to be counted while it runs, and what
is added up stays in registers. A single vector goes with each of several.
"""

import operator
from functools import partial, reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

__all__ = [
    "WIDTH",
    "add_four",
    "load",
    "load_several",
    "prefetch",
    "prefetch_read",
    "prefetch_several",
    "splat",
    "square_root",
    "store",
    "total",
    "two_by_root",
    "zeros",
]

WIDTH = 16
"""Numbers in a vector: a register of AVX-512, or two of float64."""

_INDEX = ir.IntType(32)
_FLAGS = ("contract", "nsz")
_intrinsic: Any = intrinsic  # it takes away the first argument, which types do not show


class _Lanes(types.Type):
    def __init__(self, dtype, count=1):
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Lanes({dtype}, {count})")


_NUMBERS = {
    types.float32: ("f32", ir.FloatType()),
    types.float64: ("f64", ir.DoubleType()),
}


def _vector_of(dtype):
    return ir.VectorType(_NUMBERS[dtype][1], WIDTH)


def _constant(kind, number):
    return ir.Constant(kind, [number] * WIDTH)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        kind, count = _vector_of(fe_type.dtype), fe_type.count
        packed = kind if count == 1 else ir.ArrayType(kind, count)
        super().__init__(manager, fe_type, packed)


class _Arithmetic(AbstractTemplate):
    def generic(self, args, kws):
        if kws or len(args) != 2 or not all(isinstance(arg, _Lanes) for arg in args):
            return None
        longer = max(args, key=lambda arg: arg.count)
        matches = all(
            arg.dtype == longer.dtype and arg.count in (1, longer.count) for arg in args
        )
        return signature(longer, *args) if matches else None


def _define(symbol, instruction):
    infer_global(symbol)(type(f"_{symbol.__name__}", (_Arithmetic,), {"key": symbol}))

    @lower_builtin(symbol, _Lanes, _Lanes)
    def lower(context, builder, sig, args):
        operation = partial(getattr(builder, instruction), flags=_FLAGS)
        return _one_by_one(builder, operation, *args)


def _one_by_one(builder, operation, *args):
    """Apply an operation to vectors in turn; a single one goes with each of several."""
    packs = [arg.type for arg in args if isinstance(arg.type, ir.ArrayType)]
    if not packs:
        return operation(*args)
    results = ir.Constant(packs[0], ir.Undefined)
    for k in range(packs[0].count):
        parts = [
            builder.extract_value(arg, k) if isinstance(arg.type, ir.ArrayType) else arg
            for arg in args
        ]
        results = builder.insert_value(results, operation(*parts), k)
    return results


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_symbol, _instruction)


@_intrinsic
def splat(typing, number):
    """Repeat a number in all lanes."""

    def build(context, builder, sig, args):
        nothing = ir.Constant(_vector_of(number), ir.Undefined)
        first = builder.insert_element(nothing, args[0], ir.Constant(_INDEX, 0))
        zeros = ir.Constant(ir.VectorType(_INDEX, WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(first, nothing, zeros)

    return _Lanes(number)(number), build


@_intrinsic
def square_root(typing, vector):
    """Take the square root of each number."""

    def build(context, builder, sig, args):
        return _one_by_one(builder, partial(_root, builder, vector), args[0])

    return vector(vector), build


def _root(builder, lanes, vector):
    name = f"llvm.sqrt.v16{_NUMBERS[lanes.dtype][0]}"
    return _call(builder, name, vector.type, [vector])


@_intrinsic
def two_by_root(typing, vector):
    """Divide 2 by the square root of each float32, all above 1e-30.

    The last digit may differ; of infinity it is 0, or next to it.
    """
    if getattr(vector, "dtype", None) != types.float32:
        return None

    def build(context, builder, sig, args):
        _, _, features = context.codegen().magic_tuple()
        one = _estimate if "+avx512f" in features.split(",") else _divide
        return _one_by_one(builder, partial(one, builder, vector), args[0])

    return vector(vector), build


def _divide(builder, lanes, vector):
    root = _root(builder, lanes, vector)
    return builder.fdiv(_constant(vector.type, 2.0), root, flags=_FLAGS)


def _estimate(builder, lanes, vector):
    """Start from fourteen bits, which a step of Newton's doubles.

    With AVX-512 an estimate takes no longer than a product, a root and a division by it
    fourteen times as long.
    """
    kind = vector.type
    add, subtract, multiply = (
        partial(operation, flags=_FLAGS)
        for operation in (builder.fadd, builder.fsub, builder.fmul)
    )
    # Of infinity the step would be no number.
    largest = _constant(kind, 3e38)
    finite = builder.fcmp_ordered("<", vector, largest)
    vector = builder.select(finite, vector, largest)
    others = [_constant(kind, 0.0), ir.Constant(ir.IntType(16), -1)]
    rough = _call(builder, "llvm.x86.avx512.rsqrt14.ps.512", kind, [vector, *others])
    # In this order what is rounded last is nearly the result: most digits are right.
    off = subtract(_constant(kind, 1.0), multiply(multiply(vector, rough), rough))
    return add(add(rough, rough), multiply(rough, off))


@_intrinsic
def total(typing, vector):
    """Add up the numbers of one or several vectors, in any order."""

    def build(context, builder, sig, args):
        name, number = _NUMBERS[vector.dtype]
        name = f"llvm.vector.reduce.fadd.v16{name}"
        zero, added = ir.Constant(number, -0.0), args[0]
        if vector.count > 1:
            parts = (builder.extract_value(added, k) for k in range(vector.count))
            added = reduce(partial(builder.fadd, flags=_FLAGS), parts)
        return _call(builder, name, number, [zero, added], "reassoc")

    return vector.dtype(vector), build


@_intrinsic
def load(typing, array, position):
    """Read sixteen numbers from a flat, contiguous array; nothing is checked."""

    def build(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return _Lanes(array.dtype)(array, types.intp), build


@_intrinsic
def load_several(typing, array, position, like):
    """Read as many vectors as a tuple is long, one after the other; nothing is checked."""
    lanes = _Lanes(array.dtype, like.count)

    def build(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args)
        align = array.dtype.bitwidth // 8
        if like.count == 1:
            return builder.load(place, align=align)
        vectors = ir.Constant(context.get_value_type(lanes), ir.Undefined)
        for k in range(like.count):
            vector = builder.load(_beyond(builder, place, k), align=align)
            vectors = builder.insert_value(vectors, vector, k)
        return vectors

    return lanes(array, types.intp, like), build


@_intrinsic
def zeros(typing, like):
    """As many vectors of float32 as a tuple is long, all 0."""

    def build(context, builder, sig, args):
        return ir.Constant(context.get_value_type(sig.return_type), None)

    return _Lanes(types.float32, like.count)(like), build


@_intrinsic
def store(typing, array, position, vector):
    """Write one or several vectors, one after the other; nothing is checked."""

    def build(context, builder, sig, args):
        place, packed = _place(context, builder, sig.args[0], args), args[2]
        for k in range(vector.count):
            one = builder.extract_value(packed, k) if vector.count > 1 else packed
            beyond = _beyond(builder, place, k)
            builder.store(one, beyond, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), build


@_intrinsic
def add_four(typing, table, row, numbers):
    """Add to four float64 of a row, in one instruction where there are such registers."""

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        first = builder.mul(args[1], ir.Constant(args[1].type, 4))
        four = ir.VectorType(ir.DoubleType(), 4)
        place = builder.bitcast(builder.gep(data, [first]), four.as_pointer())
        added = ir.Constant(four, ir.Undefined)
        for lane in range(4):
            number = builder.extract_value(args[2], lane)
            added = builder.insert_element(added, number, ir.Constant(_INDEX, lane))
        total = builder.fadd(builder.load(place, align=8), added)
        builder.store(total, place, align=8)
        return context.get_dummy_value()

    return types.void(table, types.intp, types.UniTuple(types.float64, 4)), build


def _ask(builder, data, position, *, for_writing):
    place = builder.bitcast(builder.gep(data, [position]), ir.IntType(8).as_pointer())
    # Of high locality, into the cache of data.
    kind = [ir.Constant(_INDEX, n) for n in (int(for_writing), 3, 1)]
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), [place, *kind])


def _prefetching(*, for_writing):
    @_intrinsic
    def prefetch(typing, array, position):
        def build(context, builder, sig, args):
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            _ask(builder, data, args[1], for_writing=for_writing)
            return context.get_dummy_value()

        return types.void(array, types.intp), build

    return prefetch


prefetch = _prefetching(for_writing=True)
"""Ask for the cache line of a number that will be changed soon."""
prefetch_read = _prefetching(for_writing=False)
"""Ask for the cache line of a number that will be read soon; other cores keep it."""


@_intrinsic
def prefetch_several(typing, array, position, like):
    """Ask for as many vectors of float32 as a tuple is long, which will be changed soon."""

    def build(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        for k in range(like.count):
            beyond = builder.add(args[1], ir.Constant(args[1].type, k * WIDTH))
            _ask(builder, data, beyond, for_writing=True)
        return context.get_dummy_value()

    return types.void(array, types.intp, like), build


def _place(context, builder, array_type, args):
    data = context.make_array(array_type)(context, builder, args[0]).data
    vector = _vector_of(array_type.dtype)
    return builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())


def _beyond(builder, place, n_vectors):
    return builder.gep(place, [ir.Constant(_INDEX, n_vectors)])


def _call(builder, name, returned, args, *flags):
    kind = ir.FunctionType(returned, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    fastmath = () if returned == ir.VoidType() else (*_FLAGS, *flags)
    return builder.call(function, args, fastmath=fastmath)
