"""A service in Python beside a running Countersign: signs a person in, introspects, refreshes, watches, and reads errors.

Its stubs are generated from the protos of this repository, as a team's own would be. The address and an API key come from
COUNTERSIGN_ADDRESS and COUNTERSIGN_API_KEY; the code of the sign-in is asked for on standard output and read from standard
input. What was seen is printed, a line for each.
"""

import importlib
import os
import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[3]


def generate(folder):
    """Makes the stubs and has them found."""
    tests = ROOT / "tests/clients/proto"
    includes = [ROOT / "proto", tests, pathlib.Path(protoc.__file__).parent / "_proto"]
    ours = [path for base in includes[:2] for path in base.rglob("*.proto") if path.relative_to(base).parts[0] != "envoy"]
    arguments = ["protoc", *(f"-I{base}" for base in includes), f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main([*arguments, *map(str, ours)]) != 0:
        sys.exit("the stubs cannot be generated")
    sys.path.insert(0, folder)


def stubs(name):
    return importlib.import_module(f"{name}_pb2"), importlib.import_module(f"{name}_pb2_grpc")


def reason(error):
    """The reason of an error, as programs are to read it."""
    status_pb2 = importlib.import_module("google.rpc.status_pb2")
    details_pb2 = importlib.import_module("google.rpc.error_details_pb2")
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = details_pb2.ErrorInfo()
                if detail.Is(info.DESCRIPTOR):
                    detail.Unpack(info)
                    return f"{error.code().name} {info.domain} {info.reason}"
    return f"{error.code().name} without a reason"


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return reason(error)
    return "nothing is refused"


def main():
    common, _ = stubs("countersign.v1.common")
    auth, auth_grpc = stubs("countersign.v1.auth")
    token, token_grpc = stubs("countersign.v1.token")
    account, account_grpc = stubs("countersign.v1.account")
    health, health_grpc = stubs("health")
    own = (("authorization", f"Bearer {os.environ['COUNTERSIGN_API_KEY']}"),)
    with grpc.insecure_channel(os.environ["COUNTERSIGN_ADDRESS"]) as channel:
        watch = health_grpc.HealthStub(channel).Watch(health.HealthCheckRequest(service="countersign.v1.TokenService"))
        print("health", health.HealthCheckResponse.ServingStatus.Name(next(watch).status), flush=True)
        watch.cancel()

        signing_in, tokens = auth_grpc.AuthServiceStub(channel), token_grpc.TokenServiceStub(channel)
        wrong = auth.RequestOtpRequest(identifier=common.Identifier(phone="12"))
        print("refused", refused(lambda: signing_in.RequestOtp(wrong)), flush=True)
        person = common.Identifier(phone="09121234567")
        challenge = signing_in.RequestOtp(auth.RequestOtpRequest(identifier=person)).challenge
        print("challenge", challenge.challenge_id, flush=True)
        proof = auth.OtpCredential(challenge_id=challenge.challenge_id, code=sys.stdin.readline().strip())
        pair = signing_in.Login(auth.LoginRequest(otp=proof)).tokens

        asked = token.IntrospectRequest(token=pair.access_token)
        print("refused", refused(lambda: tokens.Introspect(asked)), flush=True)
        answer = tokens.Introspect(asked, metadata=own)
        print("introspected", answer.active, answer.sub, flush=True)
        holder = (("authorization", f"Bearer {pair.access_token}"),)
        profile = account_grpc.AccountServiceStub(channel).GetProfile(account.GetProfileRequest(), metadata=holder)
        print("profile", profile.account.account_id == answer.sub, flush=True)
        pair = tokens.Refresh(token.RefreshRequest(refresh_token=pair.refresh_token)).tokens
        asked = token.IntrospectRequest(token=pair.access_token)
        answer = tokens.Introspect(asked, metadata=own)
        print("refreshed", answer.active, flush=True)

        watching = tokens.WatchRevocations(token.WatchRevocationsRequest(), metadata=own)
        print("watching", next(watching).WhichOneof("event"), flush=True)
        until_checkpoint = (event for event in watching if event.WhichOneof("event") == "checkpoint")
        print("snapshot", bool(next(until_checkpoint).checkpoint.cursor), flush=True)
        tokens.Revoke(token.RevokeRequest(token=pair.access_token), metadata=own)
        print("revoked", not tokens.Introspect(asked, metadata=own).active, flush=True)
        told = next(event.revocation for event in watching if event.WhichOneof("event") == "revocation")
        print("told", told.token_id == answer.jti, flush=True)
        watching.cancel()

        signing_in.Logout(auth.LogoutRequest(refresh_token=pair.refresh_token))
        spent = token.RefreshRequest(refresh_token=pair.refresh_token)
        print("refused", refused(lambda: tokens.Refresh(spent)), flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as stubs_folder:
        generate(stubs_folder)
        main()
