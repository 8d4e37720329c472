"""The few machine operations that numba has no word for, written as LLVM vectors.

LLVM turns them into whatever the processor has (AVX-512, AVX2, NEON), so nothing here depends on one.
Imported by `kernels` alone, and through it only when something is encoded.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils as _cgutils
from numba.core import types as _types
from numba.extending import intrinsic as _intrinsic

cgutils: Any = _cgutils
types: Any = _types  # names made at run time, unknown to type checkers
_I8, _I64 = ir.IntType(8), ir.IntType(64)
_WINDOW = 64
_LINE = 64  # bytes of a cache line
_AHEAD = 16  # rows asked for before they are added: memory answers after about as many


def intrinsic(function: Any) -> Any:
    """Make an operation; to a type checker it is anything."""
    return _intrinsic(function)


def _element_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Return the address of array[index] for a one-dimensional array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def load_u64(typingctx: Any, array: Any, index: Any) -> Any:
    """Read 8 bytes of a uint8 array as one number, at any address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(builder.bitcast(pointer, _I64.as_pointer()), align=1)

    return types.uint64(array, types.int64), codegen


@intrinsic
def store_u64(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write one number as 8 bytes of a uint8 array, at any address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, _I64.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@intrinsic
def load_acquire(typingctx: Any, array: Any, index: Any) -> Any:
    """Read array[index] so that all written before its release is visible."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load_atomic(pointer, "acquire", 8)

    return types.uint64(array, types.int64), codegen


@intrinsic
def store_release(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write array[index] after everything written before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(args[2], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@intrinsic
def take_slot(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write array[index] if it is 0; tell whether it was. No other thread comes between."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        old = builder.cmpxchg(pointer, ir.Constant(_I64, 0), args[2], "acq_rel", "acquire")
        return builder.extract_value(old, 1)

    return types.boolean(array, types.int64, types.uint64), codegen


@intrinsic
def fetch_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Add to array[index] and return what it was. No other thread comes between."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", pointer, args[2], "monotonic")

    return types.int64(array, types.int64, types.int64), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for array[index] before it is needed."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        _prefetch(builder, builder.bitcast(pointer, _I8.as_pointer()), _LINE)
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """Return the index of the lowest set bit, 64 where none is set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def highest_zeros(typingctx: Any, bits: Any) -> Any:
    """Return how many of the highest bits are zero, 64 where all are."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


def _in_ranges(builder: Any, window: Any, ranges: list[tuple[int, int]]) -> Any:
    """Return a bit for each byte that lies in one of the closed ranges."""
    result = None
    for low, high in ranges:
        shifted = builder.sub(window, _splat(low))
        inside = builder.icmp_unsigned("<=", shifted, _splat(high - low))
        result = inside if result is None else builder.or_(result, inside)
    return builder.bitcast(result, _I64)


def _splat(value: int) -> Any:
    """Return a window of the same byte."""
    return ir.Constant(ir.VectorType(_I8, _WINDOW), [ir.Constant(_I8, value)] * _WINDOW)


_SPACES = [(9, 10), (13, 13), (32, 32)]  # BERT's other controls vanish inside words
_PUNCTUATION = [(33, 47), (58, 64), (91, 96), (123, 126)]


@intrinsic
def classify_window(typingctx: Any, array: Any, index: Any) -> Any:
    """Classify 64 bytes at once: bit i of (space, punctuation) tells about array[index + i]."""
    result = types.UniTuple(types.uint64, 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, signature.args[0], args[0], args[1])
        window_type = ir.VectorType(_I8, _WINDOW)
        window = builder.load(builder.bitcast(pointer, window_type.as_pointer()), align=1)
        masks = [_in_ranges(builder, window, ranges) for ranges in (_SPACES, _PUNCTUATION)]
        return context.make_tuple(builder, signature.return_type, masks)

    return result(array, types.int64), codegen


def _make_sum_rows(width: int) -> Any:
    """Make the operation that sums `width` columns of the rows of some tokens."""

    @intrinsic
    def sum_rows(
        typingctx: Any,
        table: Any,
        weights: Any,
        mapping: Any,
        places: Any,
        ids: Any,
        count: Any,
        column: Any,
        out: Any,
        row: Any,
    ) -> Any:
        """Write out[row, column : column + width] = sum of weight * table row over ids[:count], in order."""
        signature = types.void(
            table, weights, mapping, places, ids, types.int64, types.int64, out, types.int64
        )

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            table_type, weights_type, mapping_type, places_type, ids_type, _, _, out_type, _ = signature.args
            table_array = context.make_array(table_type)(context, builder, args[0])
            out_array = context.make_array(out_type)(context, builder, args[7])
            stride = cgutils.unpack_tuple(builder, table_array.strides)[0]
            out_stride = cgutils.unpack_tuple(builder, out_array.strides)[0]
            base = builder.bitcast(builder.gep(table_array.data, [args[6]]), _I8.as_pointer())
            vector = ir.VectorType(ir.FloatType(), width)
            total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * width))

            def row_pointer(position: Any) -> tuple[Any, Any]:
                token = builder.load(_element_pointer(context, builder, ids_type, args[4], position))
                token = builder.sext(token, _I64)
                source = token
                if not isinstance(mapping_type, types.NoneType):
                    source = builder.load(_element_pointer(context, builder, mapping_type, args[2], token))
                    source = builder.sext(source, _I64)
                return token, builder.gep(base, [builder.mul(source, stride)])

            def at_most(index: Any, last: Any) -> Any:
                return builder.select(builder.icmp_signed("<", index, last), index, last)

            def factor(token: Any, index: Any) -> Any:
                weight = place = None
                if not isinstance(weights_type, types.NoneType):
                    weight = builder.load(_element_pointer(context, builder, weights_type, args[1], token))
                if not isinstance(places_type, types.NoneType):
                    known = context.make_array(places_type)(context, builder, args[3]).nitems
                    index = at_most(index, builder.sub(known, _I64(1)))
                    place = builder.load(_element_pointer(context, builder, places_type, args[3], index))
                return builder.fmul(weight, place) if weight and place else weight or place

            last = builder.sub(args[5], _I64(1))
            with cgutils.for_range(builder, args[5], intp=_I64) as loop:
                ahead = at_most(builder.add(loop.index, _I64(_AHEAD)), last)
                _prefetch(builder, row_pointer(ahead)[1], width * table_type.dtype.bitwidth // 8)
                token, pointer = row_pointer(loop.index)
                values = _load_as_float(context, builder, table_type, pointer, width)
                weight = factor(token, loop.index)
                if weight:
                    values = builder.fmul(values, _broadcast(builder, weight, width))
                builder.store(builder.fadd(builder.load(total), values), total)
            target = builder.gep(
                builder.bitcast(out_array.data, _I8.as_pointer()), [builder.mul(args[8], out_stride)]
            )
            target = builder.gep(builder.bitcast(target, ir.FloatType().as_pointer()), [args[6]])
            builder.store(builder.load(total), builder.bitcast(target, vector.as_pointer()), align=4)
            return context.get_dummy_value()

        return signature, codegen

    return sum_rows


def _prefetch(builder: Any, pointer: Any, size: int) -> None:
    """Ask for `size` bytes before they are needed; an address that is not there does no harm."""
    flag = ir.IntType(32)
    signature = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), flag, flag, flag])
    fetch = builder.module.declare_intrinsic("llvm.prefetch", (_I8.as_pointer(),), signature)
    for offset in range(0, size, _LINE):
        # For reading, to stay in all caches, data.
        builder.call(fetch, [builder.gep(pointer, [_I64(offset)]), flag(0), flag(3), flag(1)])


def _broadcast(builder: Any, scalar: Any, width: int) -> Any:
    """Return a vector of `width` times the scalar."""
    vector = ir.VectorType(ir.FloatType(), width)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), lanes)


def _load_as_float(context: Any, builder: Any, table_type: Any, pointer: Any, width: int) -> Any:
    """Load `width` values of a row as float32; float16 comes as uint16."""
    vector = ir.VectorType(ir.FloatType(), width)
    if table_type.dtype == types.float32:
        return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=4)
    if table_type.dtype == types.int8:
        small = ir.VectorType(_I8, width)
        return builder.sitofp(builder.load(builder.bitcast(pointer, small.as_pointer()), align=1), vector)
    return _half_to_float(builder, pointer, width)


def _half_to_float(builder: Any, pointer: Any, width: int) -> Any:
    """Widen float16 exactly with integer operations, which every processor has."""
    half, word = ir.VectorType(ir.IntType(16), width), ir.VectorType(ir.IntType(32), width)
    vector = ir.VectorType(ir.FloatType(), width)

    def constant(value: int) -> Any:
        return ir.Constant(word, [ir.Constant(ir.IntType(32), value)] * width)

    bits = builder.zext(builder.load(builder.bitcast(pointer, half.as_pointer()), align=2), word)
    magnitude = builder.shl(builder.and_(bits, constant(0x7FFF)), constant(13))
    sign = builder.shl(builder.and_(bits, constant(0x8000)), constant(16))
    # The exponent biases of the two formats differ by 112; the product also gives subnormals their value.
    scaled = builder.fmul(
        builder.bitcast(magnitude, vector),
        ir.Constant(vector, [ir.Constant(ir.FloatType(), 2.0**112)] * width),
    )
    return builder.bitcast(builder.or_(builder.bitcast(scaled, word), sign), vector)


@intrinsic
def sum_squares_16(typingctx: Any, array: Any, row: Any, count: Any) -> Any:
    """Return the sum of squares of array[row, :count], count a multiple of 16, always added in one order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array_type = signature.args[0]
        values = context.make_array(array_type)(context, builder, args[0])
        stride = cgutils.unpack_tuple(builder, values.strides)[0]
        begin = builder.gep(builder.bitcast(values.data, _I8.as_pointer()), [builder.mul(args[1], stride)])
        begin = builder.bitcast(begin, ir.FloatType().as_pointer())
        vector = ir.VectorType(ir.FloatType(), 16)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * 16))
        with cgutils.for_range_slice(builder, args[2].type(0), args[2], args[2].type(16), intp=_I64) as (
            index,
            _,
        ):
            chunk = builder.load(builder.bitcast(builder.gep(begin, [index]), vector.as_pointer()), align=4)
            builder.store(builder.fadd(builder.load(total), builder.fmul(chunk, chunk)), total)
        lanes, result = builder.load(total), ir.Constant(ir.FloatType(), 0.0)
        for lane in range(16):
            result = builder.fadd(result, builder.extract_element(lanes, ir.Constant(ir.IntType(32), lane)))
        return result

    return types.float32(array, types.int64, types.int64), codegen


sum_rows_128 = _make_sum_rows(128)
sum_rows_16 = _make_sum_rows(16)
sum_rows_1 = _make_sum_rows(1)
