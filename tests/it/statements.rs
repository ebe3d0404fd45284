//! The number of statements per request: constant in the number of rows, and exactly as listed in the table. A method
//! that needs fewer must be updated in the table too, because a later regression would otherwise go unnoticed. Also the
//! round trips that writes' statements share.

mod columns;

use mainstay::{
    operations::{
        id::OperationId,
        ops::{self as operations, RunOperation},
    },
    support::ticket::{
        job::{ChangeTickets, Requester},
        model::bulk::BulkChange,
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    cases::{self, Scene},
    support::{Protocol, Response, TestApp, TestDatabase, eventually, methods, proxy::Proxy},
};

/// The number of statements of a method, including BEGIN and COMMIT. What binds a session to the account of a list is not
/// counted, because the earlier statements of the session decide about it.
const STATEMENTS: &[(&str, u64)] = &[
    ("AccountDomainService.CreateAccountDomain", 7),
    ("AccountDomainService.DeleteAccountDomain", 7),
    ("AccountDomainService.GetAccountDomain", 1),
    ("AccountDomainService.JoinAccount", 13),
    ("AccountDomainService.ListAccountDomains", 2),
    ("AccountDomainService.VerifyAccountDomain", 11),
    ("AccountProviderService.CreateAccountProvider", 6),
    ("AccountProviderService.DeleteAccountProvider", 9),
    ("AccountProviderService.GetAccountProvider", 1),
    ("AccountProviderService.ListAccountProviders", 2),
    ("AccountProviderService.UpdateAccountProvider", 8),
    ("AccountService.CreateAccount", 7),
    ("AccountService.GetAccount", 1),
    ("AccountService.ListAccounts", 2),
    ("AccountService.TransferOwnership", 11),
    ("AccountService.UpdateAccount", 5),
    ("ActivityService.ListActivities", 3),
    ("AuditService.ExportAuditEntries", 1),
    ("AuditService.ListAuditEntries", 2),
    ("AuthService.BeginMailLogin", 4),
    ("AuthService.BeginPasskeyLogin", 0),
    ("AuthService.BeginPasskeyReauthentication", 3),
    ("AuthService.ChangePassword", 10),
    ("AuthService.ConfirmEmailChange", 13),
    ("AuthService.ConfirmPasswordReset", 12),
    ("AuthService.ConfirmRegistration", 11),
    ("AuthService.FindSignInProvider", 2),
    ("AuthService.ListSignInProviders", 0),
    ("AuthService.Login", 6),
    ("AuthService.LoginWithMail", 10),
    ("AuthService.LoginWithPasskey", 11),
    ("AuthService.Logout", 2),
    ("AuthService.Reauthenticate", 6),
    ("AuthService.Refresh", 3),
    ("AuthService.Register", 4),
    ("AuthService.RequestEmailChange", 8),
    ("AuthService.RequestPasswordReset", 4),
    ("AuthService.SwitchAccount", 3),
    ("AuthService.UndoEmailChange", 17),
    ("AuthService.VerifySecondFactor", 10),
    ("CannedAnswerService.CreateCannedAnswer", 4),
    ("CannedAnswerService.DeleteCannedAnswer", 5),
    ("CannedAnswerService.GetCannedAnswer", 1),
    ("CannedAnswerService.ListCannedAnswers", 2),
    ("CannedAnswerService.RenderCannedAnswer", 4),
    ("CannedAnswerService.UpdateCannedAnswer", 5),
    ("CommentService.CreateComment", 7),
    ("CommentService.DeleteComment", 8),
    ("CommentService.GetComment", 2),
    ("CommentService.ListComments", 3),
    ("CommentService.UpdateComment", 8),
    ("DataExportService.CreateDataExport", 7),
    ("DataExportService.GetDataExport", 1),
    ("DataExportService.ListDataExports", 2),
    ("DeadJobService.ListDeadJobs", 1),
    ("DeadJobService.RedriveDeadJobs", 4),
    ("DeletionService.CancelDeletion", 10),
    ("DeletionService.CancelDeletionByToken", 11),
    ("DeletionService.CreateDeletion", 19),
    ("DeletionService.GetDeletion", 2),
    ("DeletionService.ListDeletions", 2),
    ("DeprecatedMethodService.GetDeprecatedMethods", 0),
    ("FileService.CompleteUpload", 10),
    ("FileService.CreateUpload", 6),
    ("FileService.DeleteFile", 9),
    ("FileService.DownloadFile", 1),
    ("FileService.GetFile", 1),
    ("FileService.ListFiles", 2),
    ("FileService.UploadFile", 7),
    ("ImpersonationService.EndImpersonation", 6),
    ("ImpersonationService.ListImpersonations", 1),
    ("ImpersonationService.StartImpersonation", 9),
    ("InboundEventService.AnswerWebhookChallenge", 0),
    ("InboundEventService.GetInboundEvent", 1),
    ("InboundEventService.ListInboundEvents", 1),
    ("InboundEventService.ReceiveWebhook", 5),
    ("InboundEventService.RedriveInboundEvent", 6),
    ("InboundEventService.RedriveInboundEvents", 7),
    ("InvitationService.AcceptInvitation", 13),
    ("InvitationService.AcceptInvitationAsNewUser", 15),
    ("InvitationService.CreateInvitation", 10),
    ("InvitationService.GetInvitation", 1),
    ("InvitationService.ListInvitations", 2),
    ("InvitationService.PreviewInvitation", 5),
    ("InvitationService.ResendInvitation", 9),
    ("InvitationService.RevokeInvitation", 7),
    ("LinkedIdentityService.DeleteLinkedIdentity", 8),
    ("LinkedIdentityService.ListLinkedIdentities", 1),
    ("LinkedIdentityService.ListUserLinkedIdentities", 2),
    ("MemberService.GetMember", 2),
    ("MemberService.LeaveAccount", 11),
    ("MemberService.ListMembers", 3),
    ("MemberService.RemoveMember", 14),
    ("MemberService.UpdateMember", 14),
    ("OauthClientService.CreateOauthClient", 5),
    ("OauthClientService.DeleteOauthClient", 7),
    ("OauthClientService.GetOauthClient", 1),
    ("OauthClientService.ListOauthClients", 1),
    ("OauthClientService.RotateOauthClientSecret", 6),
    ("OauthClientService.UpdateOauthClient", 6),
    ("OauthConsentService.DeleteOauthConsent", 8),
    ("OauthConsentService.ListOauthConsents", 1),
    ("OperationService.CancelOperation", 9),
    ("OperationService.GetOperation", 1),
    ("OperationService.ListOperationErrors", 2),
    ("OperationService.ListOperations", 2),
    // One connection reads the changes for all watches.
    ("OperationService.WatchOperations", 0),
    ("OrderService.CancelOrder", 7),
    ("OrderService.CreateOrder", 8),
    ("OrderService.GetOrder", 2),
    ("OrderService.ListOrders", 3),
    // The second call is answered from the cache.
    ("OverviewService.GetSalesOverview", 0),
    ("OverviewService.GetSignInOverview", 0),
    ("OverviewService.GetTicketOverview", 0),
    ("OverviewService.GetWorkOverview", 0),
    ("OverviewService.WatchTicketOverview", 0),
    ("PasskeyService.ConfirmPasskey", 17),
    ("PasskeyService.EnrollPasskey", 3),
    ("PasskeyService.ListPasskeys", 1),
    ("PasskeyService.RemovePasskey", 13),
    ("PasskeyService.RenamePasskey", 4),
    ("PaymentService.ChargePayment", 20),
    ("PaymentService.GetPayment", 1),
    ("PaymentService.ListPayments", 2),
    ("PostService.CreatePost", 6),
    ("PostService.DeletePost", 7),
    ("PostService.GetPost", 1),
    ("PostService.GetPostBySlug", 2),
    ("PostService.ListDrafts", 2),
    ("PostService.ListPosts", 2),
    ("PostService.PublishPost", 8),
    ("PostService.SchedulePost", 7),
    ("PostService.UnpublishPost", 9),
    ("PostService.UpdatePost", 7),
    ("ProductService.CreateProduct", 4),
    ("ProductService.GetProduct", 1),
    ("ProductService.ListProducts", 1),
    ("ProductService.UpdateProduct", 5),
    ("RefundService.CreateRefund", 23),
    ("RefundService.GetRefund", 1),
    ("RefundService.ListRefunds", 3),
    ("RevenueService.GetRevenue", 1),
    ("RoleService.CreateRole", 7),
    ("RoleService.DeleteRole", 7),
    ("RoleService.GetMyAccess", 0),
    ("RoleService.GetRole", 1),
    ("RoleService.ListRoles", 1),
    ("RoleService.UpdateRole", 7),
    ("ScimResourceService.CreateScimResource", 13),
    ("ScimResourceService.DeleteScimResource", 13),
    ("ScimResourceService.PatchScimResource", 15),
    ("ScimResourceService.QueryScimResources", 2),
    ("ScimResourceService.ReadScimResource", 1),
    ("ScimResourceService.ReplaceScimResource", 14),
    ("SecondFactorService.ConfirmTotp", 17),
    ("SecondFactorService.EnrollTotp", 6),
    ("SecondFactorService.ForgetRememberedDevice", 4),
    ("SecondFactorService.GetSecondFactor", 3),
    ("SecondFactorService.ListRememberedDevices", 2),
    ("SecondFactorService.RegenerateRecoveryCodes", 5),
    ("SecondFactorService.RemoveTotp", 10),
    ("ServiceKeyService.CreateServiceKey", 7),
    ("ServiceKeyService.GetServiceKey", 1),
    ("ServiceKeyService.ListServiceKeys", 1),
    ("ServiceKeyService.RevokeServiceKey", 6),
    ("ServiceKeyService.RotateServiceKey", 7),
    ("SessionService.ListSessions", 2),
    ("SessionService.ListUserSessions", 2),
    ("SessionService.RevokeAllSessions", 6),
    ("SessionService.RevokeAllUserSessions", 8),
    ("SessionService.RevokeSession", 5),
    ("SessionService.RevokeUserSession", 7),
    ("SettingService.GetSettings", 0),
    ("SubscriptionService.CancelSubscription", 19),
    ("SubscriptionService.CreateSubscription", 28),
    ("SubscriptionService.GetSubscription", 1),
    ("SubscriptionService.ListSubscriptions", 2),
    ("SystemLogService.ListSystemLogs", 1),
    ("SystemLogService.WatchSystemLogs", 0),
    ("TicketLinkService.CreateTicketLink", 8),
    ("TicketLinkService.DeleteTicketLink", 10),
    ("TicketLinkService.GetTicketLink", 2),
    ("TicketLinkService.ListTicketLinks", 3),
    ("TicketService.AssignTicket", 9),
    ("TicketService.BatchCreateTickets", 9),
    ("TicketService.BatchGetTickets", 1),
    ("TicketService.BulkChangeTickets", 8),
    ("TicketService.CreateTicket", 10),
    ("TicketService.DeleteTicket", 8),
    ("TicketService.ExportTickets", 1),
    ("TicketService.ExportTicketsCsv", 1),
    ("TicketService.GetTicket", 1),
    ("TicketService.GetTicketLabels", 2),
    ("TicketService.ImportTickets", 9),
    ("TicketService.ListTickets", 2),
    ("TicketService.MergeTicket", 10),
    ("TicketService.ReopenTicket", 11),
    ("TicketService.ResolveTicket", 8),
    ("TicketService.UndoBulkChange", 8),
    ("TicketService.UpdateTicket", 8),
    ("TicketService.WatchTickets", 0),
    ("TileService.GetTiles", 0),
    ("UserService.BatchGetUsers", 1),
    ("UserService.DeactivateUser", 9),
    ("UserService.DeleteUserAvatar", 6),
    ("UserService.GetMe", 2),
    ("UserService.GetUser", 1),
    ("UserService.ListUsers", 2),
    ("UserService.ReactivateUser", 6),
    ("UserService.ResetSecondFactor", 10),
    ("UserService.SetUserAvatar", 8),
    ("UserService.SetUserRole", 9),
    ("UserService.UpdateUser", 5),
    ("WebhookDeliveryService.GetWebhookDelivery", 2),
    ("WebhookDeliveryService.ListWebhookDeliveries", 3),
    ("WebhookDeliveryService.ResendWebhookDelivery", 8),
    ("WebhookEndpointService.CreateWebhookEndpoint", 4),
    ("WebhookEndpointService.DeleteWebhookEndpoint", 6),
    ("WebhookEndpointService.GetWebhookEndpoint", 1),
    ("WebhookEndpointService.ListWebhookEndpoints", 1),
    ("WebhookEndpointService.RotateWebhookSecret", 5),
    ("WebhookEndpointService.TestWebhookEndpoint", 1),
    ("WebhookEndpointService.UpdateWebhookEndpoint", 5),
];

/// The round trips of the most frequent writes' transactions, from BEGIN to COMMIT: with an idempotency key for methods
/// that require one, without a key for all others.
const TRIPS: &[(&str, u64)] = &[
    ("CommentService.CreateComment", 2),
    ("CommentService.DeleteComment", 2),
    ("CommentService.UpdateComment", 2),
    ("FileService.CreateUpload", 3),
    ("InboundEventService.ReceiveWebhook", 3),
    ("OrderService.CancelOrder", 3),
    ("OrderService.CreateOrder", 3),
    // Two transactions.
    ("PaymentService.ChargePayment", 6),
    ("PostService.UpdatePost", 3),
    // Two transactions.
    ("RefundService.CreateRefund", 7),
    ("TicketService.AssignTicket", 3),
    ("TicketService.CreateTicket", 2),
    ("TicketService.DeleteTicket", 4),
    ("TicketService.ReopenTicket", 4),
    ("TicketService.ResolveTicket", 3),
    ("TicketService.UpdateTicket", 3),
    ("UserService.UpdateUser", 2),
];

fn statements(method: &str) -> u64 {
    let entry = STATEMENTS.iter().find(|(name, _)| *name == method);
    entry.unwrap_or_else(|| panic!("{method} is not in the table")).1
}

/// Waits until no connection is lent: a response does not wait for the end of the transaction of its list.
async fn transactions_have_ended(app: &TestApp) {
    eventually("no connection is lent", async || {
        let (all, idle) = app.app.database.connections();
        all == idle
    })
    .await;
}

async fn count_statements(app: &TestApp, proxy: &Proxy, call: impl Future<Output = Response>) -> (Response, u64) {
    transactions_have_ended(app).await;
    let before = proxy.statements();
    let answer = call.await;
    transactions_have_ended(app).await;
    (answer, proxy.statements() - before)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_runs_the_listed_number_of_statements() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    // A single connection, so that all prepared statements exist before counting.
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).set("DATABASE_POOL_SIZE", "1");
    let app = app.start().await;
    let mut faults = Vec::new();
    for method in methods() {
        let (case, expected) = (cases::good_case(&method.name), statements(&method.name));
        let mut least = u64::MAX;
        // The first call may look up types and prepare statements. Statements of the feed of changes may fall into a call.
        for attempt in 0..20 {
            let call = (case.call)(Scene::new(&app).await).await;
            // The lookup of a new token in Postgres happens once and is not part of the method's cost.
            call.who.call(Protocol::Grpc, "TicketService.GetTicket", json!({ "ticketId": cases::unknown_id() })).await;
            let (answer, count) = count_statements(&app, &proxy, call.send(Protocol::Grpc, case.method)).await;
            answer.success();
            if attempt > 0 {
                least = least.min(count);
            }
            if least <= expected {
                break;
            }
        }
        if least != expected {
            faults.push(format!("{} took {least} statements, not {expected}", method.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each ticket by itself would take eight.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_bulk_change_takes_the_same_statements_for_any_number_of_tickets() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).set("DATABASE_POOL_SIZE", "1");
    let app = app.start().await;
    let scene = Scene::new(&app).await;
    let mut counts = Vec::new();
    // The first run prepares statements.
    for tickets in [3, 3, 150] {
        database.sql("DELETE FROM tickets").await;
        cases::add_tickets(&database, scene.cast.customer.as_user(), tickets, 10).await;
        let request = json!({ "filter": {}, "action": "TICKET_BULK_ACTION_RESOLVE" });
        let began = scene.cast.agent.rest("TicketService.BulkChangeTickets", request).await.success().id();
        let requester = Requester { role: 2, application: None };
        let request = ChangeTickets { change: BulkChange::Resolve, requester };
        let job = RunOperation { operation: OperationId::parse(&began).expect("an id"), request };
        transactions_have_ended(&app).await;
        let before = proxy.statements();
        operations::run(&app.app, &job, &CancellationToken::new()).await.expect("ended");
        counts.push(proxy.statements() - before);
        let resolved = database.number("SELECT count(*) FROM tickets WHERE status = 3").await;
        assert_eq!(resolved, i64::try_from(tickets).expect("few"));
    }
    // Statements of the feed of changes may fall into a run.
    assert!(counts[2] <= counts[1] + 3, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_write_takes_the_listed_number_of_round_trips() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    // A single connection, so that all prepared statements exist before counting.
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).set("DATABASE_POOL_SIZE", "1");
    let app = app.start().await;
    let mut faults = Vec::new();
    for &(method, expected) in TRIPS {
        let case = cases::good_case(method);
        let mut count = 0;
        // The first call may look up types and prepare statements.
        for _ in 0..2 {
            let call = (case.call)(Scene::new(&app).await).await;
            // The lookup of a new token in Postgres happens once and is not part of the method's cost.
            call.who.call(Protocol::Grpc, "TicketService.GetTicket", json!({ "ticketId": cases::unknown_id() })).await;
            transactions_have_ended(&app).await;
            let (answer, trips) = proxy.count_trips(call.send(Protocol::Grpc, case.method)).await;
            answer.success();
            count = trips;
        }
        if count != expected {
            faults.push(format!("{method} took {count} round trips, not {expected}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Row-level security adds no round trip for which the response waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_an_account_shares_one_round_trip_with_its_settings() {
    // The settings with the page and its total; behind a pooler, BEGIN with them, then ROLLBACK.
    for (ignores_options, expected) in [(false, 1), (true, 2)] {
        let database = std::sync::Arc::new(TestDatabase::new().await);
        let proxy = Proxy::new(&database).await;
        proxy.ignore_options(ignores_options);
        let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
        let (app, cast) = app.set("DATABASE_POOL_SIZE", "1").start_with_cast().await;
        let mut least = u64::MAX;
        // The first call may look up types and prepare statements. A transaction of a job may fall into a call.
        for _ in 0..5 {
            // The session is bound to another account.
            cast.stranger.rest("TicketService.ListTickets", json!({})).await.success();
            transactions_have_ended(&app).await;
            let list = async {
                cast.customer.rest("TicketService.ListTickets", json!({})).await.success();
                transactions_have_ended(&app).await;
            };
            let ((), trips) = proxy.count_trips(list).await;
            least = least.min(trips);
        }
        assert_eq!(least, expected, "behind a pooler: {ignores_options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_the_same_whatever_its_length() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).set("DATABASE_POOL_SIZE", "1");
    let (app, cast) = app.start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let one = json!({ "subject": "One", "body": "Text", "accountId": account });
    let mut costs = Vec::new();
    // Fewer than the first page of an export, which is read in pages.
    for count in [1, 1, 40] {
        let batch = json!({ "tickets": vec![one.clone(); count] });
        let (response, batch) =
            count_statements(&app, &proxy, cast.agent.rest("TicketService.BatchCreateTickets", batch)).await;
        response.success();
        let (list, read) =
            count_statements(&app, &proxy, cast.customer.rest("TicketService.ListTickets", json!({ "pageSize": 100 })))
                .await;
        list.success();
        let request = json!({ "pageSize": 100, "include": "comments,activities,requester" });
        let (list, included) =
            count_statements(&app, &proxy, cast.customer.rest("TicketService.ListTickets", request)).await;
        list.success();
        let (export, streamed) =
            count_statements(&app, &proxy, cast.customer.rest("TicketService.ExportTickets", json!({}))).await;
        export.success();
        costs.push((batch, read, included, streamed));
    }
    assert_eq!(costs[1], costs[2], "for 1 more and for 40 more");
    assert_eq!(costs[2].2, costs[2].1 + 3, "one statement for each kind");
}
