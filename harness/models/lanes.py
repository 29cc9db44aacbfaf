"""Vectors of sixteen float32, or float64, as values that Numba can compute with.

LLVM turns most loops over arrays into vector instructions by itself, but first has to
prove, at each entry, that the arrays do not overlap, and leaves what is left over to slow
scalar code. In a loop over 48 numbers that is most of the time. These vectors are what
they say on every machine: of float32 one register with AVX-512, two with AVX, four with
SSE or NEON.
"""

import operator
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
    "prefetch",
    "prefetch_read",
    "splat",
    "square_root",
    "store",
    "total",
]

WIDTH = 16
"""Numbers in a vector: a register of AVX-512, or two of float64."""

_INDEX = ir.IntType(32)
_FLAGS = ("contract", "nsz")
_intrinsic: Any = intrinsic  # it takes away the first argument, which types do not show


class _Lanes(types.Type):
    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


_NUMBERS = {
    types.float32: ("f32", ir.FloatType()),
    types.float64: ("f64", ir.DoubleType()),
}


def _vector_of(dtype):
    return ir.VectorType(_NUMBERS[dtype][1], WIDTH)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, _vector_of(fe_type.dtype))


class _Arithmetic(AbstractTemplate):
    def generic(self, args, kws):
        matches = not kws and len(args) == 2 and args[0] == args[1]
        matches = matches and isinstance(args[0], _Lanes)
        return signature(args[0], *args) if matches else None


def _define(symbol, instruction):
    infer_global(symbol)(type(f"_{symbol.__name__}", (_Arithmetic,), {"key": symbol}))

    @lower_builtin(symbol, _Lanes, _Lanes)
    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args, flags=_FLAGS)


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
        name = f"llvm.sqrt.v16{_NUMBERS[vector.dtype][0]}"
        return _call(builder, name, args[0].type, [args[0]])

    return vector(vector), build


@_intrinsic
def total(typing, vector):
    """Add up the numbers of a vector, in any order."""

    def build(context, builder, sig, args):
        name, number = _NUMBERS[vector.dtype]
        name = f"llvm.vector.reduce.fadd.v16{name}"
        zero = ir.Constant(number, -0.0)
        return _call(builder, name, number, [zero, args[0]], "reassoc")

    return vector.dtype(vector), build


@_intrinsic
def load(typing, array, position):
    """Read sixteen numbers from a flat, contiguous array; nothing is checked."""

    def build(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return _Lanes(array.dtype)(array, types.intp), build


@_intrinsic
def store(typing, array, position, vector):
    """Write sixteen numbers; nothing is checked."""

    def build(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args)
        builder.store(args[2], place, align=array.dtype.bitwidth // 8)
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


def _prefetching(*, for_writing):
    @_intrinsic
    def prefetch(typing, array, position):
        def build(context, builder, sig, args):
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            byte = ir.IntType(8).as_pointer()
            place = builder.bitcast(builder.gep(data, [args[1]]), byte)
            # Of high locality, into the cache of data.
            kind = [ir.Constant(_INDEX, n) for n in (int(for_writing), 3, 1)]
            _call(builder, "llvm.prefetch.p0", ir.VoidType(), [place, *kind])
            return context.get_dummy_value()

        return types.void(array, types.intp), build

    return prefetch


prefetch = _prefetching(for_writing=True)
"""Ask for the cache line of a number that will be changed soon."""
prefetch_read = _prefetching(for_writing=False)
"""Ask for the cache line of a number that will be read soon; other cores keep it."""


def _place(context, builder, array_type, args):
    data = context.make_array(array_type)(context, builder, args[0]).data
    vector = _vector_of(array_type.dtype)
    return builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())


def _call(builder, name, returned, args, *flags):
    kind = ir.FunctionType(returned, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    fastmath = () if returned == ir.VoidType() else (*_FLAGS, *flags)
    return builder.call(function, args, fastmath=fastmath)
