"""Terraform's provider azurerm as far as its schema goes: it says what may be written, and does nothing.

    azurerm_stub.py schema.json SOCKET

Terraform finds it through TF_REATTACH_PROVIDERS. Enough for `validate`, and for `test` where the provider is mocked: values come
from the mock then, and asking this one to plan or to apply is an error."""

import json
import signal
import sys
from concurrent import futures
from threading import Event

import grpc
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

NESTING = pb.Schema.NestedBlock.NestingMode


def block(json_block):
    attributes = [
        pb.Schema.Attribute(
            name=name,
            type=json.dumps(attribute["type"]).encode(),
            required=attribute.get("required", False),
            optional=attribute.get("optional", False),
            computed=attribute.get("computed", False),
        )
        for name, attribute in json_block["attributes"].items()
    ]
    blocks = [
        pb.Schema.NestedBlock(
            type_name=name,
            block=block(nested["block"]),
            nesting=NESTING.Value(nested["nesting_mode"].upper()),
            min_items=nested.get("min_items", 0),
            max_items=nested.get("max_items", 0),
        )
        for name, nested in json_block["block_types"].items()
    ]
    return pb.Schema.Block(attributes=attributes, block_types=blocks)


def schema(json_schema):
    return pb.Schema(version=json_schema["version"], block=block(json_schema["block"]))


class Stub(rpc.ProviderServicer):
    def __init__(self, known):
        self.known = pb.GetProviderSchema.Response(
            provider=schema(known["provider"]),
            resource_schemas={name: schema(one) for name, one in known["resource_schemas"].items()},
            data_source_schemas={name: schema(one) for name, one in known["data_source_schemas"].items()},
        )

    def GetProviderSchema(self, request, context):
        return self.known

    def ValidateProviderConfig(self, request, context):
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return pb.ValidateDataResourceConfig.Response()

    def StopProvider(self, request, context):
        return pb.StopProvider.Response()


def main():
    with open(sys.argv[1]) as file:
        stub = Stub(json.load(file))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    rpc.add_ProviderServicer_to_server(stub, server)
    server.add_insecure_port(f"unix://{sys.argv[2]}")
    server.start()
    ended = Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    print("ready", flush=True)
    ended.wait()
    server.stop(grace=None)


main()
