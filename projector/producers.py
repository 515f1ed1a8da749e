"""Whose open transaction is it? Kafka's request DescribeProducers (key 61), which the client has no call for."""

import socket
import struct
from io import BytesIO

from confluent_kafka.admin import AdminClient

API_KEY, VERSION, CORRELATION = 61, 0, 1
TIMEOUT_S = 5.0
PRODUCER = struct.Struct("!qiiqiq")
"""producer_id, producer_epoch, last_sequence, last_timestamp, coordinator_epoch, current_txn_start_offset"""


def producer_at(admin: AdminClient, topic: str, partition: int, offset: int) -> int | None:
    """The producer id of the transaction that begins at `offset`; None where the partition's leader names none.

    Raises KafkaException, OSError; struct.error where the answer is another one than Kafka's.
    """
    metadata = admin.list_topics(topic, timeout=TIMEOUT_S)
    leader = metadata.brokers.get(metadata.topics[topic].partitions[partition].leader)
    if leader is None:
        return None
    with socket.create_connection((leader.host, leader.port), timeout=TIMEOUT_S) as connection:
        request = _request(topic, partition)
        connection.sendall(struct.pack("!i", len(request)) + request)
        with connection.makefile("rb") as answer:
            (length,) = struct.unpack("!i", answer.read(4))
            return _producers(BytesIO(answer.read(length))).get(offset)


def _request(topic: str, partition: int) -> bytes:
    name = topic.encode()
    head = struct.pack("!hhih", API_KEY, VERSION, CORRELATION, -1) + b"\0"
    one_topic = _varint(2) + _varint(len(name) + 1) + name + _varint(2) + struct.pack("!i", partition)
    return head + one_topic + b"\0" + b"\0"


def _producers(answer: BytesIO) -> dict[int, int]:
    """Producer ids by the offset at which their open transaction begins."""
    answer.read(4 + 1 + 4)  # correlation, no tags, throttle time
    found = {}
    for _ in range(_read_varint(answer) - 1):
        answer.read(_read_varint(answer) - 1)  # the topic
        for _ in range(_read_varint(answer) - 1):
            answer.read(4 + 2)  # partition, error code
            answer.read(max(0, _read_varint(answer) - 1))  # error message
            for _ in range(_read_varint(answer) - 1):
                producer_id, *_, begins_at = PRODUCER.unpack(answer.read(PRODUCER.size))
                found[begins_at] = producer_id
                answer.read(1)  # no tags
            answer.read(1)
        answer.read(1)
    return found


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _read_varint(answer: BytesIO) -> int:
    number, shift = 0, 0
    while True:
        byte: int = struct.unpack("!B", answer.read(1))[0]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number
        shift += 7
