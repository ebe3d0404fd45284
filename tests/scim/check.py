"""Runs scim2-tester with a service key of a new account, whose mail domain a name server on a port proves.

usage: check.py PORT, with MAINSTAY_URL, MAINSTAY_EMAIL and MAINSTAY_PASSWORD
"""

import os
import socket
import sys
import threading
import uuid

import dns.message
import dns.rrset
import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server, filling

DOMAIN = "scim-check.example"
BAD = (Status.DEVIATION, Status.ERROR, Status.CRITICAL)
# The server has no POST /.search, which is optional and which no provider sends.
UNSUPPORTED = ("search_with_attributes",)


def serve_dns(port, records):
    """Answers each question with the TXT record of the name, if there is one."""
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    while True:
        wire, client = server.recvfrom(4096)
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        name = query.question[0].name
        if (text := records.get(name.to_text(omit_final_dot=True).lower())) is not None:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", f'"{text}"'))
        server.sendto(response.to_wire(), client)


def secret_of_new_key(http, records):
    """Returns the secret of a key that provisions an account with a proved mail domain."""

    def post(path, body):
        response = http.post(f"/api/v1/{path}", json=body)
        if response.is_error:
            sys.exit(f"{path}: {response.status_code} {response.text}")
        return response.json()

    login = {"email": os.environ["MAINSTAY_EMAIL"], "password": os.environ["MAINSTAY_PASSWORD"]}
    http.headers["Authorization"] = "Bearer " + post("auth/login", login)["data"]["accessToken"]
    account = post("accounts", {"name": "SCIM"})["data"]["id"]
    draft = {"accountId": account, "domain": DOMAIN, "role": "MEMBER_ROLE_MEMBER"}
    domain = post("account-domains", draft)["data"]
    records[domain["recordName"].lower()] = domain["recordValue"]
    post(f"account-domains/{domain['id']}/verify", {})
    scopes = ["identity.scim.manage"]
    key = {"name": "SCIM", "kind": "SERVICE_KEY_KIND_ACCOUNT", "accountId": account, "scopes": scopes}
    return post("service-keys", key)["secret"]


def with_addresses(generate):
    """Makes the name of a user an address in the proved domain."""

    def generated(context, path, *arguments, **options):
        value = generate(context, path, *arguments, **options)
        is_name = str(path).lower().endswith("username")
        return f"{uuid.uuid4()}@{DOMAIN}" if is_name and value is not None else value

    return generated


def main():
    records = {}
    threading.Thread(target=serve_dns, args=(int(sys.argv[1]), records), daemon=True).start()
    url = os.environ["MAINSTAY_URL"]
    with httpx2.Client(base_url=url, trust_env=False, timeout=30) as http:
        secret = secret_of_new_key(http, records)
    filling.generate_random_value = with_addresses(filling.generate_random_value)
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx2.Client(base_url=f"{url}/scim/v2", headers=headers, trust_env=False, timeout=30) as http:
        results = check_server(SyncSCIMClient(http))
    failures = [result for result in results if result.status in BAD and result.title not in UNSUPPORTED]
    for result in failures:
        print(f"{result.status.name} {result.title} {result.resource_type or ''}: {result.reason}")
    passed = sum(result.status == Status.SUCCESS for result in results)
    print(f"scim2-tester: {passed} checks passed, {len(failures)} failed")
    # A server that offers nothing would pass few checks.
    sys.exit(bool(failures) or passed < 20)


if __name__ == "__main__":
    main()
