//! `mainstay.identity.v1.AuthService`.

use secrecy::{ExposeSecret as _, SecretString};
use tonic::Request;

use crate::identity::{
    account_provider::ops as account_provider,
    auth::ops::{self, SignedIn},
    config::Provider,
    email_change::ops as email_change,
    mail_login::{model::Answer as MailAnswer, ops as mail_login},
    provider::client::Providers,
    registration::ops::{self as registration, NewUser},
    second_factor::{
        model::Code,
        ops::{self as second_factor, Answer, Evidence},
        relying_party::Assertion,
        service::passkey::render_begun,
    },
    session::{
        ops as session,
        service::{client_address, device, pair, seconds},
    },
    tokens::Pair,
    user::model::{EmailAddress, Language},
};
use crate::proto::identity::v1::{self as pb, auth_service_server::AuthService};
use mainstay_kernel::{
    app::App,
    audit::Audited as _,
    error::{Error, Result},
    grpc::{Call, Reply},
    id::AccountId,
};

#[derive(Debug, Clone)]
pub struct Auth {
    pub app: App,
}

/// What a request lacks that has no passkey.
const MISSING: &str = "is required without a passkey";

fn language(tag: Option<&str>) -> Result<Option<Language>> {
    tag.map(Language::parse).transpose()
}

/// What a request lacks that has no token.
const MISSING_CODE: &str = "is required without a token";

/// Renders the tokens of a new session, with that of its device.
fn first_pair(tokens: Pair, device: &SecretString) -> pb::TokenPair {
    pb::TokenPair { device_token: Some(device.expose_secret().to_owned()), ..pair(tokens) }
}

/// Renders the tokens of a sign-in, or its challenge.
async fn signed_in(app: &App, outcome: SignedIn) -> Result<(Option<pb::TokenPair>, Option<pb::SecondFactorChallenge>)> {
    match outcome {
        SignedIn::Tokens(tokens, device) => Ok((Some(first_pair(tokens, &device)), None)),
        SignedIn::Challenge(token, life) => {
            let options = second_factor::challenge_options(app, token.expose_secret()).await?;
            let challenge = pb::SecondFactorChallenge {
                token: token.expose_secret().to_owned(),
                expires_in: seconds(life),
                passkey_options: options.passkey,
                remember_seconds: options.remembered_for.map(seconds),
            };
            Ok((None, Some(challenge)))
        }
    }
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
        call.read(pb::ConfirmRegistrationResponse { data: Some(user.message()) })
    }

    async fn login(&self, request: Request<pb::LoginRequest>) -> Reply<pb::LoginResponse> {
        let (device, from) = (device(&request), client_address(&request));
        let mut call = Call::admit(request)?;
        let pb::LoginRequest { email, password, device_token, account_id } = std::mem::take(&mut call.message);
        let (email, device_token) = (EmailAddress::find(&email)?, device_token.map(SecretString::from));
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let attempt = ops::Attempt { email, password: password.into(), device, device_token, from, account };
        let (data, challenge) = signed_in(&self.app, ops::login(&self.app, attempt).await?).await?;
        call.read(pb::LoginResponse { data, challenge })
    }

    async fn list_sign_in_providers(
        &self,
        request: Request<pb::ListSignInProvidersRequest>,
    ) -> Reply<pb::ListSignInProvidersResponse> {
        let call = Call::admit(request)?;
        let providers = self.app.part::<Providers>().all();
        let render =
            |provider: &Provider| pb::SignInProvider { name: provider.name.clone(), label: provider.label.clone() };
        let mail = mail_login::is_offered(&self.app);
        call.read(pb::ListSignInProvidersResponse { data: providers.map(render).collect(), mail })
    }

    async fn find_sign_in_provider(
        &self,
        request: Request<pb::FindSignInProviderRequest>,
    ) -> Reply<pb::FindSignInProviderResponse> {
        let call = Call::admit(request)?;
        let provider = account_provider::find(&self.app, &EmailAddress::parse(&call.message.email)?).await?;
        let data = pb::SignInProvider { name: provider.id.to_string(), label: provider.display_name };
        call.read(pb::FindSignInProviderResponse { data: Some(data) })
    }

    async fn verify_second_factor(
        &self,
        request: Request<pb::VerifySecondFactorRequest>,
    ) -> Reply<pb::VerifySecondFactorResponse> {
        let (device, from) = (device(&request), client_address(&request));
        let mut call = Call::admit(request)?;
        let pb::VerifySecondFactorRequest { challenge_token, code, passkey, remember_device: remember } =
            std::mem::take(&mut call.message);
        let answer = match passkey {
            Some(passkey) => Answer::Passkey(Assertion::parse(&passkey, "passkey")?),
            None => Answer::Code(Code::parse(&code.ok_or_else(|| Error::field("code", MISSING))?)?),
        };
        let (tokens, device) =
            second_factor::verify(&self.app, &challenge_token, &answer, remember, device, from).await?;
        call.read(pb::VerifySecondFactorResponse { data: Some(first_pair(tokens, &device)) })
    }

    async fn begin_passkey_login(
        &self,
        request: Request<pb::BeginPasskeyLoginRequest>,
    ) -> Reply<pb::BeginPasskeyLoginResponse> {
        let call = Call::admit(request)?;
        let begun = second_factor::begin_login(&self.app)?;
        call.read(pb::BeginPasskeyLoginResponse { data: Some(render_begun(begun)) })
    }

    async fn login_with_passkey(
        &self,
        request: Request<pb::LoginWithPasskeyRequest>,
    ) -> Reply<pb::LoginWithPasskeyResponse> {
        let (device, from) = (device(&request), client_address(&request));
        let mut call = Call::admit(request)?;
        let pb::LoginWithPasskeyRequest { token, credential, account_id } = std::mem::take(&mut call.message);
        let proof = Assertion::parse(&credential, "credential")?;
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let (tokens, device) = second_factor::login(&self.app, &token, &proof, device, None, account, from).await?;
        call.read(pb::LoginWithPasskeyResponse { data: Some(first_pair(tokens, &device)) })
    }

    async fn begin_mail_login(&self, request: Request<pb::BeginMailLoginRequest>) -> Reply<pb::BeginMailLoginResponse> {
        let from = client_address(&request);
        let call = Call::admit(request)?;
        let begun = mail_login::begin(&self.app, EmailAddress::parse_known(&call.message.email)?, from).await?;
        let (binding, expires_in) = (begun.binding.expose_secret().to_owned(), seconds(begun.life));
        call.read(pb::BeginMailLoginResponse { data: Some(pb::MailLogin { binding, expires_in }) })
    }

    async fn login_with_mail(&self, request: Request<pb::LoginWithMailRequest>) -> Reply<pb::LoginWithMailResponse> {
        let (device, from) = (device(&request), client_address(&request));
        let mut call = Call::admit(request)?;
        let pb::LoginWithMailRequest { binding, token, code, account_id, device_token } =
            std::mem::take(&mut call.message);
        let device_token = device_token.map(SecretString::from);
        let answer = match token {
            Some(token) => MailAnswer::Token(token),
            None => MailAnswer::code(&code.ok_or_else(|| Error::field("code", MISSING_CODE))?)?,
        };
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let outcome = mail_login::login(&self.app, &binding, &answer, device, device_token, account, from).await?;
        let (data, challenge) = signed_in(&self.app, outcome).await?;
        call.read(pb::LoginWithMailResponse { data, challenge })
    }

    async fn begin_passkey_reauthentication(
        &self,
        request: Request<pb::BeginPasskeyReauthenticationRequest>,
    ) -> Reply<pb::BeginPasskeyReauthenticationResponse> {
        let call = Call::admit(request)?;
        let begun = second_factor::begin_reauthentication(&self.app, &call.permit()?).await?;
        call.read(pb::BeginPasskeyReauthenticationResponse { data: Some(render_begun(begun)) })
    }

    async fn reauthenticate(&self, request: Request<pb::ReauthenticateRequest>) -> Reply<pb::ReauthenticateResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::ReauthenticateRequest { current_password, code, passkey } = std::mem::take(&mut call.message);
        let evidence = match passkey {
            Some(pb::PasskeyProof { token, credential }) => {
                Evidence::Passkey(Assertion::parse(&credential, "passkey.credential")?, token)
            }
            None => {
                let password = current_password.ok_or_else(|| Error::field("currentPassword", MISSING))?;
                Evidence::Password(password.into(), code.as_deref().map(Code::parse).transpose()?)
            }
        };
        let tokens = second_factor::reauthenticate(&self.app, &permit, evidence, from).await?;
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
