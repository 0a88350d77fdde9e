"""tfcompress.export.flatbuffer: what is stored once is read from everywhere."""

from flatbuffers import number_types, table

from tfcompress.export.flatbuffer import _SharingBuilder


def test_tables_that_padding_lays_out_in_other_ways_are_read_back():
    # A table is found to be equal to another after it was written, with a layout that depends on
    # where it lay. The layout is taken back with it, and must not be what later tables refer to.
    builder, written = _SharingBuilder(64), []
    for i in range(200):
        builder.CreateString("x" * (i % 13) + str(i))
        large, small = (1, 1) if i < 20 else ((i * 7) % 11 + 1, i % 3 + 1)
        builder.StartObject(2)
        builder.PrependInt64Slot(0, large, 0)
        builder.PrependInt8Slot(1, small, 0)
        written.append((builder.EndObject(), large, small))
    builder.Finish(written[-1][0])
    content = builder.Output()
    for offset, large, small in written:
        found = table.Table(content, len(content) - offset)
        assert found.GetSlot(4, 0, number_types.Int64Flags) == large
        assert found.GetSlot(6, 0, number_types.Int8Flags) == small
    assert len({offset for offset, *_ in written}) == 33
