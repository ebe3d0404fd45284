//! `mainstay.identity.v1.AuthService`.

use secrecy::{ExposeSecret as _, SecretString};
use tonic::Request;

use crate::identity::{
    auth::ops::{self, SignedIn},
    config::Provider,
    email_change::ops as email_change,
    provider::client::Providers,
    registration::ops::{self as registration, NewUser},
    second_factor::{model::Code, ops as second_factor},
    session::{
        ops as session,
        service::{client_address, device, pair, seconds},
    },
    tokens::Pair,
    user::{
        model::{EmailAddress, Language},
        service as user,
    },
};
use crate::proto::identity::v1::{self as pb, auth_service_server::AuthService};
use mainstay_kernel::{
    app::App,
    error::Result,
    grpc::{Call, Reply},
    id::AccountId,
};

#[derive(Debug, Clone)]
pub struct Auth {
    pub app: App,
}

fn language(tag: Option<&str>) -> Result<Option<Language>> {
    tag.map(Language::parse).transpose()
}

/// Renders the tokens of a new session, with that of its device.
fn first_pair(tokens: Pair, device: &SecretString) -> pb::TokenPair {
    pb::TokenPair { device_token: Some(device.expose_secret().to_owned()), ..pair(tokens) }
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn register(&self, request: Request<pb::RegisterRequest>) -> Reply<pb::RegisterResponse> {
        let from = client_address(&request);
        let call = Call::admit(request)?;
        let language = language(call.message.language.as_deref())?.unwrap_or_default();
        registration::request(&self.app, EmailAddress::parse(&call.message.email)?, language, from).await?;
        call.read(pb::RegisterResponse {})
    }

    async fn confirm_registration(
        &self,
        request: Request<pb::ConfirmRegistrationRequest>,
    ) -> Reply<pb::ConfirmRegistrationResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let message = std::mem::take(&mut call.message);
        let pb::ConfirmRegistrationRequest { token, password, name, account_name, language: tag } = message;
        let new = NewUser { password: password.into(), name, account_name, language: language(tag.as_deref())? };
        let user = registration::confirm(&self.app, &token, new, from).await?;
        call.read(pb::ConfirmRegistrationResponse { data: Some(user::render(user)) })
    }

    async fn login(&self, request: Request<pb::LoginRequest>) -> Reply<pb::LoginResponse> {
        let (device, from) = (device(&request), client_address(&request));
        let mut call = Call::admit(request)?;
        let pb::LoginRequest { email, password, device_token, account_id } = std::mem::take(&mut call.message);
        let (email, device_token) = (EmailAddress::find(&email)?, device_token.map(SecretString::from));
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let attempt = ops::Attempt { email, password: password.into(), device, device_token, from, account };
        call.read(match ops::login(&self.app, attempt).await? {
            SignedIn::Tokens(tokens, device) => {
                pb::LoginResponse { data: Some(first_pair(tokens, &device)), challenge: None }
            }
            SignedIn::Challenge(token, life) => {
                let (token, expires_in) = (token.expose_secret().to_owned(), seconds(life));
                pb::LoginResponse { data: None, challenge: Some(pb::SecondFactorChallenge { token, expires_in }) }
            }
        })
    }

    async fn list_sign_in_providers(
        &self,
        request: Request<pb::ListSignInProvidersRequest>,
    ) -> Reply<pb::ListSignInProvidersResponse> {
        let call = Call::admit(request)?;
        let providers = self.app.part::<Providers>().all();
        let render =
            |provider: &Provider| pb::SignInProvider { name: provider.name.clone(), label: provider.label.clone() };
        call.read(pb::ListSignInProvidersResponse { data: providers.map(render).collect() })
    }

    async fn verify_second_factor(
        &self,
        request: Request<pb::VerifySecondFactorRequest>,
    ) -> Reply<pb::VerifySecondFactorResponse> {
        let (device, from) = (device(&request), client_address(&request));
        let mut call = Call::admit(request)?;
        let pb::VerifySecondFactorRequest { challenge_token, code } = std::mem::take(&mut call.message);
        let code = Code::parse(&code)?;
        let (tokens, device) = second_factor::verify(&self.app, &challenge_token, &code, device, from).await?;
        call.read(pb::VerifySecondFactorResponse { data: Some(first_pair(tokens, &device)) })
    }

    async fn reauthenticate(&self, request: Request<pb::ReauthenticateRequest>) -> Reply<pb::ReauthenticateResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::ReauthenticateRequest { current_password, code } = std::mem::take(&mut call.message);
        let code = code.as_deref().map(Code::parse).transpose()?;
        let password = current_password.into();
        let tokens = second_factor::reauthenticate(&self.app, &permit, password, code.as_ref(), from).await?;
        let pb::TokenPair { access_token, token_type, expires_in, .. } = pair(tokens);
        call.read(pb::ReauthenticateResponse { data: Some(pb::AccessToken { access_token, token_type, expires_in }) })
    }

    async fn refresh(&self, request: Request<pb::RefreshRequest>) -> Reply<pb::RefreshResponse> {
        let call = Call::admit(request)?;
        let expected = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let tokens = session::refresh(&self.app, &call.message.refresh_token, expected).await?;
        call.read(pb::RefreshResponse { data: Some(pair(tokens)) })
    }

    async fn switch_account(&self, request: Request<pb::SwitchAccountRequest>) -> Reply<pb::SwitchAccountResponse> {
        let call = Call::admit(request)?;
        let account = AccountId::parse(&call.message.account_id)?;
        let tokens = session::switch(&self.app, &call.message.refresh_token, account).await?;
        call.read(pb::SwitchAccountResponse { data: Some(pair(tokens)) })
    }

    async fn logout(&self, request: Request<pb::LogoutRequest>) -> Reply<pb::LogoutResponse> {
        let call = Call::admit(request)?;
        session::leave(&self.app, &call.permit()?).await?;
        call.read(pb::LogoutResponse {})
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Reply<pb::RequestPasswordResetResponse> {
        let from = client_address(&request);
        let call = Call::admit(request)?;
        ops::request_reset(&self.app, EmailAddress::parse_known(&call.message.email)?, from).await?;
        call.read(pb::RequestPasswordResetResponse {})
    }

    async fn confirm_password_reset(
        &self,
        request: Request<pb::ConfirmPasswordResetRequest>,
    ) -> Reply<pb::ConfirmPasswordResetResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let pb::ConfirmPasswordResetRequest { token, password } = std::mem::take(&mut call.message);
        ops::confirm_reset(&self.app, &token, password.into(), from).await?;
        call.read(pb::ConfirmPasswordResetResponse {})
    }

    async fn change_password(&self, request: Request<pb::ChangePasswordRequest>) -> Reply<pb::ChangePasswordResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::ChangePasswordRequest { current_password, password } = std::mem::take(&mut call.message);
        ops::change_password(&self.app, &permit, current_password.into(), password.into(), from).await?;
        call.read(pb::ChangePasswordResponse {})
    }

    async fn request_email_change(
        &self,
        request: Request<pb::RequestEmailChangeRequest>,
    ) -> Reply<pb::RequestEmailChangeResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::RequestEmailChangeRequest { current_password, email } = std::mem::take(&mut call.message);
        let email = EmailAddress::parse(&email)?;
        email_change::request(&self.app, &permit, current_password.into(), email, from).await?;
        call.read(pb::RequestEmailChangeResponse {})
    }

    async fn confirm_email_change(
        &self,
        request: Request<pb::ConfirmEmailChangeRequest>,
    ) -> Reply<pb::ConfirmEmailChangeResponse> {
        let from = client_address(&request);
        let call = Call::admit(request)?;
        email_change::confirm(&self.app, &call.message.token, from).await?;
        call.read(pb::ConfirmEmailChangeResponse {})
    }

    async fn undo_email_change(
        &self,
        request: Request<pb::UndoEmailChangeRequest>,
    ) -> Reply<pb::UndoEmailChangeResponse> {
        let call = Call::admit(request)?;
        email_change::undo(&self.app, &call.message.token).await?;
        call.read(pb::UndoEmailChangeResponse {})
    }
}
