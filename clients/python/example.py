"""Signs in, creates a ticket exactly once despite a timeout, finds it in a stream, and reads a validation error."""

import os
import uuid

from mainstay_client import Refused, call, channel

from mainstay.identity.v1 import auth_service_pb2, auth_service_pb2_grpc, user_service_pb2, user_service_pb2_grpc
from mainstay.support.v1 import ticket_service_pb2, ticket_service_pb2_grpc


def main():
    email = os.environ.get("MAINSTAY_EMAIL", "demo@example.com")
    with channel(os.environ.get("MAINSTAY_URL", "http://127.0.0.1:8080")) as line:
        auth = auth_service_pb2_grpc.AuthServiceStub(line)
        users = user_service_pb2_grpc.UserServiceStub(line)
        tickets = ticket_service_pb2_grpc.TicketServiceStub(line)

        login = auth_service_pb2.LoginRequest(email=email, password=os.environ["MAINSTAY_PASSWORD"])
        token = call(auth.Login, login)[0].data.access_token
        me = call(users.GetMe, user_service_pb2.GetMeRequest(), token=token)[0]
        print(f"signed in as {me.data.email}")

        # One idempotency key per intent. After the first attempt the outcome is unknown; a retry is safe.
        key = str(uuid.uuid4())
        draft = ticket_service_pb2.CreateTicketRequest(
            subject=f"Printer on fire {key}", body="Smoke since nine.", account_id=me.account_id
        )
        try:
            call(tickets.CreateTicket, draft, token=token, key=key, timeout=0.002, attempts=1)
        except Refused as why:
            assert why.reason == "DEADLINE_EXCEEDED", why
        answers = [call(tickets.CreateTicket, draft, token=token, key=key) for _ in range(2)]
        made = {answer.data.id for answer, _ in answers}
        replayed = str(answers[-1][1]).lower()
        print(f"asked 3 times with one key: {len(made)} ticket, the last answer replayed: {replayed}")

        export = ticket_service_pb2.ExportTicketsRequest(account_id=me.account_id)
        stream = tickets.ExportTickets(export, metadata=[("authorization", f"Bearer {token}")], timeout=60)
        print(f"the export holds it: {sum(message.data.subject == draft.subject for message in stream)} time")

        try:
            call(tickets.CreateTicket, ticket_service_pb2.CreateTicketRequest(body="No subject."), token=token)
        except Refused as why:
            print(f"refused: {why.reason}, subject {why.fields['subject']}")


if __name__ == "__main__":
    main()
