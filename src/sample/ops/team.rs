//! Custom roles, an invitation that waits, and a deletion that was canceled.

use chrono::TimeDelta;
use mainstay_kernel::{error::Result, unit_of_work::Work};
use uuid::Uuid;

use super::Writer;
use crate::{
    identity::{
        deletion::{model::Subject, ops as deletion},
        invitation::{model::Draft as InvitationDraft, ops as invitation},
        member::model::MemberRole,
        role::{id::RoleId, model::Draft as RoleDraft, ops as role},
        user::model::EmailAddress,
    },
    sample::model::{INVITED, MARK, STAFF_ROLE, UNDECIDED, timeline::BUSY},
};

/// Creates a role of the staff, and one of a busy customer's account; returns the id of the latter.
pub(super) async fn create_roles(writer: &Writer) -> Result<RoleId> {
    let (policies, at) = (&writer.app.contract.policies, writer.now - TimeDelta::days(21));
    let customer = &writer.cast.customers[BUSY[0]];
    let method = "identity.v1.RoleService/CreateRole";
    let (admin, owner, account) = (writer.cast.admin.permit(method)?, customer.permit(method)?, customer.account()?);
    let draft = |name: &str, description: &str, scopes: [&str; 3]| RoleDraft {
        name: name.to_owned(),
        description: description.to_owned(),
        scopes: scopes.map(str::to_owned).to_vec(),
        ..RoleDraft::default()
    };
    let (staff, scopes) = (format!("{STAFF_ROLE}{MARK}"), ["orders.read", "payments.read", "payments.refunds.create"]);
    let of_staff = draft(&staff, "Reads orders and payments, and refunds them.", scopes);
    let scopes = ["orders.read", "payments.read", "payments.write"];
    let of_account = draft("Accounting", "Reads orders, and pays them.", scopes);
    let create = writer.app.database.transaction(async move |work: &mut Work| {
        work.act_as(admin, at).await?;
        role::create(work, policies, None, of_staff).await?;
        work.act_as(owner, at).await?;
        role::create(work, policies, Some(account), of_account).await
    });
    Ok(create.await?.id)
}

/// Invites a colleague of a busy customer, with a role of its account; returns the id of the invitation, about which there is
/// a mail.
pub(super) async fn invite(writer: &Writer, work: &mut Work, role: RoleId) -> Result<Uuid> {
    let customer = &writer.cast.customers[BUSY[0]];
    let permit = customer.permit("identity.v1.InvitationService/CreateInvitation")?;
    work.act_as(permit, writer.now - TimeDelta::days(1)).await?;
    let draft = InvitationDraft {
        account: Some(customer.account()?),
        email: EmailAddress::parse(&INVITED.email())?,
        role: MemberRole::Custom(role),
    };
    Ok(invitation::create(work, &writer.app.contract.policies, draft).await?.id.0)
}

/// Lets a customer ask for the deletion of the account, and cancel it a day later; returns the id of the deletion, about which
/// there is a mail.
pub(super) async fn cancel_deletion(writer: &Writer, work: &mut Work) -> Result<Uuid> {
    let (customer, asked_at) = (&writer.cast.customers[UNDECIDED], writer.now - TimeDelta::days(6));
    work.act_as(customer.permit("identity.v1.DeletionService/CreateDeletion")?, asked_at).await?;
    let id = deletion::request(&writer.app, work, Subject::Account(customer.account()?)).await?.id;
    work.act_as(customer.permit("identity.v1.DeletionService/CancelDeletion")?, asked_at + TimeDelta::days(1)).await?;
    Ok(deletion::cancel(work, id).await?.id.0)
}
