//! The kinds of objects, each with the form of its ids.

use serde::{Deserialize, Serialize};

use super::resource::Resource;
use crate::resources;

/// Literal ids of the built-in roles, by serial from 1 (reference, section 9.2).
const ROLES: [&str; 4] = ["admin", "superuser", "user", "restricteduser"];

macro_rules! kinds {
    ($($name:ident $prefix:literal $len:literal $resource:expr;)*) => {
        /// The kind of an id. Prefixes and lengths: reference, section 1.7.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Kind { $($name,)* }

        impl Kind {
            /// Every kind, in the order of the declaration.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];
            pub const COUNT: usize = Self::ALL.len();

            /// The text before the underscore of its ids.
            pub fn prefix(self) -> &'static str {
                match self { $(Kind::$name => $prefix,)* }
            }

            /// Number of characters after the underscore.
            pub fn id_len(self) -> usize {
                match self { $(Kind::$name => $len,)* }
            }

            pub fn resource(self) -> &'static Resource {
                match self { $(Kind::$name => $resource,)* }
            }
        }
    };
}

kinds! {
    Lead "lead" 43 &resources::lead::LEAD;
    Contact "cont" 43 &resources::contact::CONTACT;
    Opportunity "oppo" 43 &resources::opportunity::OPPORTUNITY;
    Task "task" 43 &resources::task::TASK;
    Notification "noti" 43 &resources::task::NOTIFICATION;
    Note "acti" 43 &resources::activity::note::NOTE;
    Call "acti" 43 &resources::activity::call::CALL;
    Email "acti" 43 &resources::activity::email::EMAIL;
    EmailThread "acti" 43 &resources::activity::email_thread::EMAIL_THREAD;
    Sms "acti" 43 &resources::activity::sms::SMS;
    WhatsAppMessage "acti" 43 &resources::activity::whatsapp::WHATSAPP_MESSAGE;
    Meeting "acti" 43 &resources::activity::meeting::MEETING;
    CustomActivity "acti" 43 &resources::activity::custom::CUSTOM_ACTIVITY;
    Created "acti" 43 &resources::activity::created::CREATED;
    FormSubmission "acti" 43 &resources::activity::form_submission::FORM_SUBMISSION;
    LeadStatusChange "acti" 43 &resources::activity::status_change::LEAD_STATUS_CHANGE;
    OpportunityStatusChange "acti" 43 &resources::activity::status_change::OPPORTUNITY_STATUS_CHANGE;
    LeadMerge "acti" 43 &resources::activity::lead_merge::LEAD_MERGE;
    TaskCompleted "acti" 43 &resources::activity::task_completed::TASK_COMPLETED;
    ImportUpdate "acti" 43 &resources::activity::import_update::IMPORT_UPDATE;
    User "user" 43 &resources::user::USER;
    Organization "orga" 43 &resources::organization::ORGANIZATION;
    Membership "memb" 43 &resources::membership::MEMBERSHIP;
    Role "role" 43 &resources::role::ROLE;
    Group "group" 22 &resources::group::GROUP;
    LeadStatus "stat" 43 &resources::status::LEAD_STATUS;
    OpportunityStatus "stat" 43 &resources::status::OPPORTUNITY_STATUS;
    Pipeline "pipe" 22 &resources::pipeline::PIPELINE;
    CustomField "cf" 43 &resources::custom_field::CUSTOM_FIELD;
    CustomActivityType "actitype" 22 &resources::custom_activity_type::CUSTOM_ACTIVITY_TYPE;
    CustomObjectType "cotype" 22 &resources::custom_object_type::CUSTOM_OBJECT_TYPE;
    CustomObject "custobj" 43 &resources::custom_object::CUSTOM_OBJECT;
    SmartView "save" 43 &resources::smart_view::SMART_VIEW;
    EmailTemplate "tmpl" 43 &resources::template::EMAIL_TEMPLATE;
    SmsTemplate "smstmpl" 22 &resources::template::SMS_TEMPLATE;
    Sequence "seq" 22 &resources::sequence::SEQUENCE;
    SequenceStep "seqstep" 22 &resources::sequence::STEP;
    SequenceSubscription "sub" 22 &resources::subscription::SEQUENCE_SUBSCRIPTION;
    ConnectedAccount "emailacct" 43 &resources::connected_account::CONNECTED_ACCOUNT;
    SendAs "sdas" 22 &resources::send_as::SEND_AS;
    PhoneNumber "phon" 43 &resources::phone_number::PHONE_NUMBER;
    BlockedNumber "blocked" 22 &resources::blocked_number::BLOCKED_NUMBER;
    IntegrationLink "link" 22 &resources::integration_link::INTEGRATION_LINK;
    Outcome "outcome" 22 &resources::outcome::OUTCOME;
    Playbook "playbook" 22 &resources::playbook::PLAYBOOK;
    DialerSession "dialer" 43 &resources::dialer::DIALER_SESSION;
    UnsubscribedEmail "unsub" 22 &resources::unsubscribed_email::UNSUBSCRIBED_EMAIL;
    SchedulingLink "schedlink" 22 &resources::scheduling_link::SCHEDULING_LINK;
    SharedSchedulingLink "sharedlink" 22 &resources::scheduling_link::SHARED_SCHEDULING_LINK;
    BulkAction "bulk" 43 &resources::bulk_action::BULK_ACTION;
    Import "bulk" 43 &resources::r#import::IMPORT;
    Export "expo" 43 &resources::export::EXPORT;
    Comment "comm" 22 &resources::comment::COMMENT;
    CommentThread "comthr" 22 &resources::comment::COMMENT_THREAD;
    Webhook "whsub" 22 &resources::webhook::WEBHOOK;
    Event "ev" 22 &resources::NOT_STORED;
    Request "req" 22 &resources::NOT_STORED;
    ApiKey "key" 22 &resources::NOT_STORED;
    OAuthClient "oa2client" 22 &resources::NOT_STORED;
    Media "media" 22 &resources::NOT_STORED;
    Form "form" 22 &resources::form::FORM;
    FormField "formfld" 22 &resources::NOT_STORED;
}

impl Kind {
    /// All activities: the kinds that `/activity/` lists.
    pub const ACTIVITIES: &'static [Kind] = &[
        Kind::Note,
        Kind::Call,
        Kind::Email,
        Kind::EmailThread,
        Kind::Sms,
        Kind::WhatsAppMessage,
        Kind::Meeting,
        Kind::CustomActivity,
        Kind::Created,
        Kind::FormSubmission,
        Kind::LeadStatusChange,
        Kind::OpportunityStatusChange,
        Kind::LeadMerge,
        Kind::TaskCompleted,
        Kind::ImportUpdate,
    ];

    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    pub fn is_activity(self) -> bool {
        Self::ACTIVITIES.contains(&self)
    }

    /// The whole id of the few objects whose id is a name.
    pub fn literal(self, serial: u64) -> Option<&'static str> {
        (self == Kind::Role).then(|| ROLES.get(usize::try_from(serial).ok()?.checked_sub(1)?).copied()).flatten()
    }

    /// The reverse of [`Kind::literal`].
    pub fn of_literal(text: &str) -> Option<(Self, u64)> {
        ROLES.iter().position(|role| *role == text).map(|at| (Kind::Role, at as u64 + 1))
    }
}
