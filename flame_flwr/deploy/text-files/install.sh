id @USER@ || useradd --system --user-group --shell /usr/sbin/nologin @USER@
@MAKE@
mkdir -p @PARENT@
cp -R @NAME@ @FOLDER@
@STEPS@
systemctl daemon-reload && systemctl enable --now @UNIT@
