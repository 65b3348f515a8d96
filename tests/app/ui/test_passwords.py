"""Accounts: files of hashes, shared passwords, and what is refused."""

from pathlib import Path

import pytest

from app.ui.passwords import MIN_LENGTH, PasswordError, SharedPassword, UsersFile, add_user


def test_a_user_is_added_and_can_log_in(tmp_path: Path) -> None:
    path = tmp_path / "users"
    assert add_user(path, "ana", "correct horse") is True
    assert add_user(path, "ben", "battery staple") is True
    users = UsersFile.read(path)
    assert users.check("ana", "correct horse")
    assert users.check("ben", "battery staple")
    assert not users.check("ana", "battery staple")
    assert not users.check("eve", "correct horse")
    assert "correct horse" not in path.read_text()


def test_the_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(path, "ana", "correct horse")
    add_user(path, "ben", "battery staple")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_password_replaces_the_old_one_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(path, "ana", "correct horse")
    users = UsersFile.read(path)
    before = users.mark("ana")
    assert add_user(path, "ana", "another horse") is False
    assert not users.check("ana", "correct horse")
    assert users.check("ana", "another horse")
    assert users.mark("ana") not in (before, None)
    assert users.mark("eve") is None


def test_a_broken_file_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(path, "ana", "correct horse")
    users = UsersFile.read(path)
    path.write_text(path.read_text() + "eve:plain text\n")
    assert not users.check("ana", "correct horse")
    with pytest.raises(PasswordError, match="line 2"):
        UsersFile.read(path)


def test_a_file_without_accounts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PasswordError, match="add-user"):
        UsersFile.read(tmp_path / "missing")
    (tmp_path / "empty").write_text("# nobody yet\n\n")
    with pytest.raises(PasswordError, match="no account"):
        UsersFile.read(tmp_path / "empty")


@pytest.mark.parametrize("name", ["", " ana", "a:b", "a\nb", "#ana", "x" * 65])
def test_names_that_the_file_could_not_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PasswordError, match="name"):
        add_user(tmp_path / "users", name, "correct horse")
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize("password", ["", "x" * (MIN_LENGTH - 1), "x" * 1025])
def test_passwords_have_a_length(tmp_path: Path, password: str) -> None:
    with pytest.raises(PasswordError):
        add_user(tmp_path / "users", "ana", password)
    with pytest.raises(PasswordError):
        SharedPassword.of(password)


def test_one_password_for_everybody() -> None:
    shared = SharedPassword.of("correct horse")
    assert shared.check("ana", "correct horse")
    assert shared.check("ben", "correct horse")
    assert not shared.check("ana", "wrong horse")
    assert not shared.check("", "correct horse")
    assert not shared.check("ana", "x" * 5000)
    assert "correct horse" not in repr(shared)


def test_sessions_of_a_shared_password_outlive_a_restart() -> None:
    assert SharedPassword.of("correct horse").mark("ana") == SharedPassword.of("correct horse").mark("ana")
    assert SharedPassword.of("correct horse").mark("ana") != SharedPassword.of("another horse").mark("ana")


def test_an_unknown_name_costs_as_much_as_a_known_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in hashes computed and not in seconds, which this machine doesn't keep steady."""
    import argon2

    path = tmp_path / "users"
    add_user(path, "ana", "correct horse")
    users = UsersFile.read(path)
    users.check("eve", "once, so that the hash that nobody has is made")
    costs: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counting(self: argon2.PasswordHasher, hashed: str, password: bytes) -> bool:
        costs.append(hashed.split("$")[3])
        return verify(self, hashed, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    users.check("ana", "wrong horse")
    users.check("eve", "wrong horse")
    assert len(costs) == 2
    assert costs[0] == costs[1]
