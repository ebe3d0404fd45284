"""Signs a person in with PyPI's Authlib. Arguments: the issuer, the id and the secret of the client, and the redirect URI. Prints
the URL for the browser, reads the URL to which it was led, and prints what the client has got, also for itself."""

import json
import sys
from urllib.parse import parse_qs, urlsplit

from authlib.integrations.base_client import FrameworkIntegration
from authlib.integrations.base_client.sync_app import BaseApp, OAuth2Mixin
from authlib.integrations.base_client.sync_openid import OpenIDMixin
from authlib.integrations.requests_client import OAuth2Session

issuer, client_id, secret, redirect_uri = sys.argv[1:]


class App(OAuth2Mixin, OpenIDMixin, BaseApp):
    client_cls = OAuth2Session


app = App(
    FrameworkIntegration("mainstay"),
    name="mainstay",
    client_id=client_id,
    client_secret=secret,
    server_metadata_url=f"{issuer}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid email support.tickets.read", "code_challenge_method": "S256"},
)
begun = app.create_authorization_url(redirect_uri)
print(begun["url"], flush=True)
answer = {name: values[0] for name, values in parse_qs(urlsplit(sys.stdin.readline().strip()).query).items()}
assert answer["state"] == begun["state"] and answer["iss"] == issuer, answer
token = app.fetch_access_token(
    redirect_uri=redirect_uri, code=answer["code"], code_verifier=begun["code_verifier"], state=answer["state"]
)
claims = app.parse_id_token(token, begun["nonce"])
person = app.userinfo(token=token)
assert person["sub"] == claims["sub"], person
session = OAuth2Session(client_id, secret, scope="support.tickets.read")
itself = session.fetch_token(app.load_server_metadata()["token_endpoint"], grant_type="client_credentials")
got = {"sub": claims["sub"], "email": person["email"], "access": token["access_token"], "itself": itself["access_token"]}
print(json.dumps(got), flush=True)
