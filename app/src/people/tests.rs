//! People, sign-in and links as HTML.

use std::collections::BTreeMap;

use domain::facts::Actor;
use domain::paging::Pages;
use domain::role::Role;
use engine::FormField;
use engine::view::{Invitation, InvitationState};
use engine::view::{InvitationsPage, LinkKind, LinkView, PersonView};

use super::{account_view, link_view, people_view, sign_in_view};
use crate::ssr::Flash;
use crate::ui::samples::{NOW, here, html};
use crate::ui::snapshot::{assert_page, assert_references};

fn actor(id: i64, name: &str, roles: &[Role]) -> Actor {
    Actor { id, name: name.into(), roles: roles.to_vec() }
}

fn person(actor: Actor) -> PersonView {
    PersonView { login: actor.name.to_lowercase(), actor, disabled: false, ready: true, created_at: NOW }
}

fn team() -> Vec<PersonView> {
    vec![person(actor(1, "Ada", &[Role::Admin])), person(actor(2, "Grace <b>", &[Role::Qa]))]
}

fn link(kind: LinkKind, wants_password: bool) -> LinkView {
    LinkView { kind, name: "Ada".into(), login: "ada".into(), wants_password }
}

#[test]
fn sign_in_needs_no_script_and_has_one_message_for_every_mistake() {
    let mut place = here("/sign-in?next=/gates/A");
    place.flash = Some(Flash {
        ok: false,
        text: "Name or password is wrong.".into(),
        form: "sign_in".into(),
        fields: BTreeMap::from([("login".to_owned(), "ada\"><script>".to_owned())]),
        field: Some(FormField::Password),
    });
    let out = html(|| sign_in_view(&place, "/gates/A", false, None));
    assert_page("sign-in", &out);
    assert!(out.contains("value=\"ada&quot;") && !out.contains("<script>"), "{out}");
    assert!(!out.contains("leptos-island"), "{out}");
}

#[test]
fn a_new_installation_says_where_to_find_the_first_link() {
    let out = html(|| sign_in_view(&here("/sign-in"), "/", true, None));
    assert!(out.contains("one-time link that the server printed"), "{out}");
}

#[test]
fn a_sign_in_link_is_redeemed_by_a_button_and_not_by_opening_it() {
    let out = html(|| link_view(&here("/link/t0k"), "t0k", &link(LinkKind::SignIn, false)));
    assert!(out.contains(">Sign in as Ada<") && out.contains("action=\"/api/use_link\""), "{out}");
    assert!(out.contains("name=\"token\" value=\"t0k\"") && !out.contains("type=\"password\""), "{out}");
}

#[test]
fn a_new_password_is_entered_twice_and_only_the_first_admin_enters_a_name() {
    for (kind, names) in [
        (LinkKind::Setup, true),
        (LinkKind::Invite, false),
        (LinkKind::Reset, false),
        (LinkKind::SignIn, false),
    ] {
        let out = html(|| link_view(&here("/link/t"), "t", &link(kind, true)));
        assert_eq!(out.matches("autocomplete=\"new-password\"").count(), 2, "{kind:?} {out}");
        assert_eq!(out.contains("name=\"name\""), names, "{kind:?} {out}");
        assert_eq!(out.matches("name=\"login\"").count(), 1, "{kind:?} {out}");
    }
}

#[test]
fn admins_can_change_roles_but_cannot_disable_their_own_account() {
    let me = actor(1, "Ada", &[Role::Admin]);
    let out = html(|| people_view(&here("/people"), &me, &team(), &none()));
    assert_eq!(out.matches("action=\"/api/set_roles\"").count(), 2, "{out}");
    assert_eq!(out.matches("action=\"/api/disable_person\"").count(), 1, "{out}");
    assert!(out.contains("You cannot disable your own account."), "{out}");
    assert!(out.contains("Change your own password on the Account page."), "{out}");
    assert!(out.contains("name=\"roles[]\" value=\"qa\" checked"), "{out}");
    assert!(out.contains("Grace &lt;b&gt;") && !out.contains("Grace <b>"), "{out}");
}

#[test]
fn every_form_of_an_admin_states_the_intended_result_and_requires_the_password() {
    let me = actor(1, "Ada", &[Role::Admin]);
    let mut people = team();
    people.push(PersonView { disabled: true, ..person(actor(3, "Linus", &[Role::Qa, Role::Po])) });
    let out = html(|| people_view(&here("/people"), &me, &people, &none()));
    let form = |action: &str, of: &str| {
        let forms = out.split("<form").filter(|f| f.contains(&format!("action=\"/api/{action}\"")));
        let mut forms = forms.filter(|f| f.contains(of)).map(|f| f.split("</form>").next().unwrap());
        forms.next().unwrap_or_else(|| panic!("no {action} for {of}: {out}")).to_owned()
    };
    assert!(form("disable_person", "value=\"2\"").contains("name=\"access\" value=\"ended\""));
    assert!(form("disable_person", "value=\"3\"").contains("name=\"access\" value=\"given\""));
    assert!(form("set_roles", "Roles of Linus").contains("name=\"shown\" value=\"qa,po\""));
    let reset = form("reset_person", "value=\"2\"");
    assert!(reset.contains("stops working immediately") && reset.contains("all of their sessions end"));
    for (action, of) in [
        ("disable_person", "value=\"2\""),
        ("set_roles", "Roles of Linus"),
        ("reset_person", "value=\"2\""),
        ("invite", "name=\"login\""),
    ] {
        let form = form(action, of);
        assert_eq!(form.matches("autocomplete=\"current-password\"").count(), 1, "{action}: {form}");
    }
}

#[test]
fn refused_roles_keep_the_selection_and_send_the_current_roles() {
    let me = actor(1, "Ada", &[Role::Admin]);
    let mut place = here("/people");
    place.flash = Some(Flash {
        ok: false,
        text: "The roles changed.".into(),
        form: "set_roles:2".into(),
        fields: BTreeMap::from([("roles".to_owned(), "po,docs".to_owned())]),
        field: None,
    });
    let out = html(|| people_view(&place, &me, &team(), &none()));
    let form = out.split("<form").find(|f| f.contains("set_roles:2")).unwrap();
    assert!(form.contains("value=\"po\" checked") && form.contains("value=\"docs\" checked"), "{form}");
    assert!(!form.contains("value=\"qa\" checked") && form.contains("name=\"shown\" value=\"qa\""), "{form}");
    assert_eq!(out.matches("<details data-keep=\"\" open class=\"confirm\"").count(), 1, "{out}");
}

fn none() -> InvitationsPage {
    InvitationsPage::default()
}

#[test]
fn invitations_are_listed_for_admins_and_open_ones_can_be_withdrawn() {
    let invitation = |id: &str, state| Invitation {
        id: id.into(),
        name: "Grace <b>".into(),
        login: "grace".into(),
        roles: vec![Role::Qa],
        made_by: "Ada".into(),
        created_at: NOW,
        expires_at: NOW,
        state,
    };
    let rows = vec![
        invitation("aaa", InvitationState::Open),
        invitation("bbb", InvitationState::Joined),
        invitation("ccc", InvitationState::Withdrawn("withdrawn by Ada".into())),
        invitation("ddd", InvitationState::Expired),
    ];
    let all = InvitationsPage { rows, open: 1, pages: Pages { newer: None, older: Some(4) } };
    let out = html(|| people_view(&here("/people"), &actor(1, "Ada", &[Role::Admin]), &team(), &all));
    assert_eq!(out.matches("action=\"/api/withdraw_invitation\"").count(), 1, "{out}");
    assert!(out.contains("name=\"invitation\" value=\"aaa\"") && out.contains("1 open"), "{out}");
    for part in [
        "Joined",
        "Expired",
        "withdrawn by Ada",
        "Grace &lt;b&gt;",
        "Invited by",
        "href=\"/people?before=4\"",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_page("people", &out);
    let out = html(|| people_view(&here("/people"), &actor(2, "Grace", &[Role::Qa]), &team(), &none()));
    assert!(!out.contains("Invitations"), "{out}");
}

#[test]
fn people_without_the_admin_role_see_the_roles_and_no_button() {
    let me = actor(2, "Grace", &[Role::Qa]);
    let out = html(|| people_view(&here("/people"), &me, &team(), &none()));
    assert!(!out.contains("<form") && out.contains("QA"), "{out}");
    assert!(out.contains("not assigned"), "roles that no one has are marked: {out}");
}

#[test]
fn a_one_time_link_is_shown_only_from_the_message_of_the_action() {
    let me = actor(1, "Ada", &[Role::Admin]);
    let mut place = here("/people");
    place.flash = Some(Flash {
        ok: true,
        text: "One-time link for Grace, shown only now: /link/abc".into(),
        form: "invite".into(),
        fields: BTreeMap::new(),
        field: None,
    });
    let out = html(|| people_view(&place, &me, &team(), &none()));
    assert!(out.contains("href=\"/link/abc\"") && out.contains("Copy this link now"), "{out}");
    assert!(!html(|| people_view(&here("/people"), &me, &team(), &none())).contains("/link/"));
}

#[test]
fn a_refused_invitation_keeps_the_entered_values() {
    let me = actor(1, "Ada", &[Role::Admin]);
    let mut place = here("/people");
    let fields = [("name", "Linus"), ("login", "linus"), ("roles", "qa,po")];
    place.flash = Some(Flash {
        ok: false,
        text: "The login is taken.".into(),
        form: "invite".into(),
        fields: fields.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        field: Some(FormField::Login),
    });
    let out = html(|| people_view(&place, &me, &[], &none()));
    assert!(out.contains("value=\"Linus\"") && out.contains("value=\"linus\""), "{out}");
    assert_eq!(out.matches(" checked").count(), 2, "{out}");
    let invalid: Vec<&str> = out.split("<input").filter(|i| i.contains("aria-invalid=\"true\"")).collect();
    assert!(matches!(invalid[..], [login] if login.contains("name=\"login\"")), "{invalid:?}");
}

#[test]
fn the_account_page_requires_the_current_password_and_the_new_one_twice() {
    let out = html(|| account_view(&here("/account"), &actor(2, "Grace", &[])));
    assert_references(&out);
    assert_eq!(out.matches("type=\"password\"").count(), 3, "{out}");
    assert!(out.contains("You have no role yet") && out.contains("action=\"/api/sign_out\""), "{out}");
}
